/* Vectors of 16 lanes: one register with AVX-512, two with AVX2, four with SSE2 or NEON, the same
 * numbers on all. Included once an instruction set. `k` lanes are loaded or stored; where it is the
 * constant 16 the copy is one move. */
#include <stdint.h>
#include <string.h>

#ifndef OK_LANES
#define OK_LANES 16
#define OK_INLINE static inline __attribute__((always_inline, unused))
typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef double f64x16 __attribute__((ext_vector_type(16)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
typedef uint32_t u32x16 __attribute__((ext_vector_type(16)));
typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
typedef uint64_t u64x8 __attribute__((ext_vector_type(8)));
typedef uint64_t u64x16 __attribute__((ext_vector_type(16)));
#endif

OK_INLINE const void *K(at)(const void *p, bool bf16, size_t i)
{
    return (const char *)p + i * (bf16 ? 2 : 4);
}

OK_INLINE void *K(to)(void *p, bool bf16, size_t i) { return (char *)p + i * (bf16 ? 2 : 4); }

OK_INLINE f32x16 K(load)(const void *p, bool bf16, size_t i, size_t k)
{
    if (bf16) {
        u16x16 half = 0;
        memcpy(&half, (const uint16_t *)p + i, k * 2);
        return __builtin_bit_cast(f32x16, __builtin_convertvector(half, u32x16) << 16);
    }
    f32x16 x = 0;
    memcpy(&x, (const float *)p + i, k * 4);
    return x;
}

/* Rounds to nearest even; a NaN stays a NaN. */
OK_INLINE void K(store)(f32x16 x, void *p, bool bf16, size_t i, size_t k)
{
    if (bf16) {
        u32x16 bits = __builtin_bit_cast(u32x16, x);
        u32x16 rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        u32x16 nan = (bits >> 16) | 0x40;
        i32x16 over = (bits & 0x7FFFFFFF) > 0x7F800000;
        u32x16 is_nan = __builtin_bit_cast(u32x16, over);
        u16x16 half = __builtin_convertvector((is_nan & nan) | (~is_nan & rounded), u16x16);
        memcpy((uint16_t *)p + i, &half, k * 2);
    } else {
        memcpy((float *)p + i, &x, k * 4);
    }
}

/* All lanes in the order of a tree. */
OK_INLINE float K(sum)(f32x16 x)
{
    float a[16];
    memcpy(a, &x, sizeof a);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) a[i] += a[i + width];
    return a[0];
}

OK_INLINE float K(max_lane)(f32x16 x)
{
    float a[16];
    memcpy(a, &x, sizeof a);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) a[i] = a[i] > a[i + width] ? a[i] : a[i + width];
    return a[0];
}

OK_INLINE f32x16 K(magnitude)(f32x16 x)
{
    return __builtin_bit_cast(f32x16, __builtin_bit_cast(u32x16, x) & 0x7FFFFFFF);
}

OK_INLINE float K(absmax)(const void *x, bool b, size_t n)
{
    f32x16 most = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x16 a = K(magnitude)(K(load)(x, b, i, 16));
        most = a > most ? a : most;
    }
    if (i < n) {
        f32x16 a = K(magnitude)(K(load)(x, b, i, n - i));
        most = a > most ? a : most;
    }
    return K(max_lane)(most);
}

/* exp, within 2 ulp: x = n ln 2 + r with |r| <= ln 2 / 2, a degree-6 polynomial in r, 2^n in two
 * exponent steps (so that the largest results do not overflow on the way). Arguments end at -87 and
 * 88.7; NaN stays NaN. */
OK_INLINE f32x16 K(exp)(f32x16 x)
{
    f32x16 y = x < -87.0f ? (f32x16)-87.0f : x;
    y = y > 88.7f ? (f32x16)88.7f : y;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    f32x16 n = (y * 1.44269504f + magic) - magic;
    f32x16 r = (y - n * 0.693359375f) - n * -2.12194440e-4f;
    f32x16 p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * (r * r) + r) + 1.0f;
    i32x16 whole = __builtin_convertvector(n, i32x16);
    i32x16 first = whole >> 1;
    f32x16 a = __builtin_bit_cast(f32x16, (first + 127) << 23);
    f32x16 b = __builtin_bit_cast(f32x16, (whole - first + 127) << 23);
    return p * a * b;
}
