/* Sums over the lanes of many AVX-512 vectors at once, each in the same tree: ((0 + 2) + (1 + 3)) of the sums of quarters,
 * and of a quarter's lanes. Included where the functions' target is set. */
#pragma once
#include <immintrin.h>

#define SUMS_INLINE static inline __attribute__((always_inline))

/* Quarter q of the result holds what quarter q of each of four vectors adds up to. */
SUMS_INLINE __m512 quarter_sums(const __m512 *s) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(s[0], s[1]), _mm512_unpackhi_ps(s[0], s[1]));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(s[2], s[3]), _mm512_unpackhi_ps(s[2], s[3]));
    return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}

SUMS_INLINE __m128 sums_of_4(const __m512 *s) {
    const __m512 all = quarter_sums(s);
    const __m256 half = _mm256_add_ps(
        _mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

SUMS_INLINE __m512 sums_of_16(const __m512 *s) {
    __m512 half[2];
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
        const __m512 a = quarter_sums(s + 8 * i), b = quarter_sums(s + 8 * i + 4);
        half[i] = _mm512_add_ps(
            _mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    }
    return _mm512_add_ps(
        _mm512_shuffle_f32x4(half[0], half[1], 0x88), _mm512_shuffle_f32x4(half[0], half[1], 0xdd));
}
