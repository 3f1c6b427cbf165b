// Stands in for cuBLASLt where there is no GPU: the calls that Osler makes, with plain loops and
// float32 sums, in column-major order as the original.
//
// It is stricter than it need be, so that wrong calls show: shapes and leading dimensions must fit,
// an algorithm only runs on the types and transpositions that it was asked for, and on addresses that
// are aligned as the preference promised. Each algorithm notes the shape that it was chosen for, and
// sums k in pieces of a size that depends on it: a caller that lets the choice depend on the number
// of rows gets other bits for other batches, as on a card.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>
#include "cusim.hpp"
#include "stream.hpp"

namespace {
enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68 };

struct Desc {
    int compute, scale, transposeA = 0, transposeB = 0;
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};
struct Preference {
    uint64_t workspace = 0;
    uint32_t reduction = 7, alignment[4] = {256, 256, 256, 256};
};
struct Algorithm {
    uint32_t magic, piece;
    int32_t typeAB, typeCD, transposeA, transposeB;
    uint32_t alignment[4];
    uint64_t unused[3];
};
static_assert(sizeof(Algorithm) == 64, "as large as the original");
struct Result {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
constexpr uint32_t MAGIC = 0x051E5717;

bool knownType(int type) { return type == R_32F || type == R_16F || type == R_16BF; }

bool fits(const Desc *d, const Layout *a, const Layout *b, const Layout *c, const Layout *out)
{
    for (const Layout *l : {a, b, c, out})
        if (!knownType(l->type) || l->leading < (int64_t)l->rows || !l->rows || !l->columns)
            return false;
    uint64_t m = d->transposeA ? a->columns : a->rows, k = d->transposeA ? a->rows : a->columns;
    uint64_t n = d->transposeB ? b->rows : b->columns, l = d->transposeB ? b->columns : b->rows;
    bool types = a->type == b->type && c->type == out->type &&
                 (c->type == R_32F || c->type == a->type);
    return types && k == l && c->rows == m && c->columns == n && out->rows == m &&
           out->columns == n;
}

float load(const void *base, int type, uint64_t i)
{
    if (type == R_32F) return ((const float *)base)[i];
    if (type == R_16F) return to_f(((const f16 *)base)[i]);
    uint32_t bits = (uint32_t)((const uint16_t *)base)[i] << 16;
    return __uint_as_float(bits);
}
void store(void *base, int type, uint64_t i, float value)
{
    if (type == R_32F) ((float *)base)[i] = value;
    else if (type == R_16F) ((f16 *)base)[i] = round_to(f16(), value);
    else ((bf16 *)base)[i] = round_to(bf16(), value);
}
uint64_t place(const Layout *l, uint64_t row, uint64_t column)
{
    return column * (uint64_t)l->leading + row;
}
/* One number of columns that no algorithm serves but the one that was chosen for it, as happens. */
bool refuses(const Algorithm &algorithm, const Layout *out)
{
    return out->columns == 1031 && algorithm.unused[0] != out->columns;
}
bool serves(
    const Algorithm &x, const Desc *d, const Layout *a, const Layout *b, const Layout *c)
{
    return x.magic == MAGIC && x.typeAB == a->type && a->type == b->type && x.typeCD == c->type &&
           x.transposeA == d->transposeA && x.transposeB == d->transposeB;
}

struct Work {
    Desc desc;
    Layout la, lb, lc, ld;
    uint32_t piece;
    float alpha, beta;
    const void *a, *b, *c;
    void *d;
};

void multiply(const Work &w)
{
    bool ta = w.desc.transposeA, tb = w.desc.transposeB;
    uint64_t m = w.ld.rows, n = w.ld.columns, k = ta ? w.la.rows : w.la.columns;
    std::vector<float> x(k), y(k * n);
    for (uint64_t j = 0; j < n; j++)
        for (uint64_t l = 0; l < k; l++)
            y[j * k + l] = load(w.b, w.lb.type, tb ? place(&w.lb, j, l) : place(&w.lb, l, j));
    for (uint64_t i = 0; i < m; i++) {
        for (uint64_t l = 0; l < k; l++)
            x[l] = load(w.a, w.la.type, ta ? place(&w.la, l, i) : place(&w.la, i, l));
        for (uint64_t j = 0; j < n; j++) {
            float sum = 0;
            for (uint64_t l = 0; l < k; l += w.piece) {
                float part = 0;
                for (uint64_t q = l; q < k && q < l + w.piece; q++) part += x[q] * y[j * k + q];
                sum += part;
            }
            float prior = w.beta != 0 ? w.beta * load(w.c, w.lc.type, place(&w.lc, i, j)) : 0;
            store(w.d, w.ld.type, place(&w.ld, i, j), w.alpha * sum + prior);
        }
    }
}
} // namespace

extern "C" {
size_t cublasLtGetVersion() { return 130000; }
const char *cublasLtGetStatusName(int status)
{
    switch (status) {
    case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_UNKNOWN";
    }
}
int cublasLtCreate(void **handle)
{
    *handle = malloc(1);
    return SUCCESS;
}
int cublasLtDestroy(void *handle)
{
    free(handle);
    return SUCCESS;
}
int cublasLtMatmulDescCreate(Desc **desc, int compute, int scale)
{
    if (compute != COMPUTE_32F || scale != R_32F) return NOT_SUPPORTED;
    *desc = new Desc{compute, scale};
    return SUCCESS;
}
int cublasLtMatmulDescDestroy(Desc *desc)
{
    delete desc;
    return SUCCESS;
}
int cublasLtMatmulDescSetAttribute(Desc *desc, int attribute, const void *value, size_t bytes)
{
    if (bytes != 4 || (attribute != 3 && attribute != 4)) return INVALID_VALUE;
    int op;
    memcpy(&op, value, 4);
    if (op != 0 && op != 1) return INVALID_VALUE;
    (attribute == 3 ? desc->transposeA : desc->transposeB) = op;
    return SUCCESS;
}
int cublasLtMatmulDescGetAttribute(Desc *desc, int attribute, void *value, size_t bytes, size_t *written)
{
    if (bytes != 4 || (attribute != 3 && attribute != 4)) return INVALID_VALUE;
    memcpy(value, attribute == 3 ? &desc->transposeA : &desc->transposeB, 4);
    *written = 4;
    return SUCCESS;
}
int cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t leading)
{
    *layout = new Layout{type, rows, columns, leading};
    return SUCCESS;
}
int cublasLtMatrixLayoutDestroy(Layout *layout)
{
    delete layout;
    return SUCCESS;
}
int cublasLtMatmulPreferenceCreate(Preference **preference)
{
    *preference = new Preference;
    return SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(Preference *preference)
{
    delete preference;
    return SUCCESS;
}
int cublasLtMatmulPreferenceSetAttribute(Preference *p, int attribute, const void *value, size_t bytes)
{
    if (attribute == 1 && bytes == 8) memcpy(&p->workspace, value, 8);
    else if (attribute == 3 && bytes == 4) memcpy(&p->reduction, value, 4);
    else if (attribute >= 5 && attribute <= 8 && bytes == 4) memcpy(&p->alignment[attribute - 5], value, 4);
    else return INVALID_VALUE;
    return SUCCESS;
}
int cublasLtMatmulAlgoGetHeuristic(
    void *, Desc *desc, Layout *a, Layout *b, Layout *c, Layout *d, Preference *preference,
    int wanted, Result *results, int *found)
{
    *found = 0;
    if (wanted < 1 || !fits(desc, a, b, c, d)) return INVALID_VALUE;
    Result &r = results[0];
    r = Result{};
    Algorithm &x = r.algorithm;
    x.magic = MAGIC;
    x.piece = 8u << (d->columns * 7 % 3);
    x.typeAB = a->type, x.typeCD = c->type;
    x.transposeA = desc->transposeA, x.transposeB = desc->transposeB;
    memcpy(x.alignment, preference->alignment, sizeof x.alignment);
    x.unused[0] = d->columns;
    r.waves = 1;
    *found = 1;
    return SUCCESS;
}
int cublasLtMatmulAlgoCheck(
    void *, Desc *desc, Layout *a, Layout *b, Layout *c, Layout *d, const Algorithm *algorithm,
    Result *result)
{
    if (!fits(desc, a, b, c, d)) return INVALID_VALUE;
    if (!serves(*algorithm, desc, a, b, c) || refuses(*algorithm, d)) return NOT_SUPPORTED;
    *result = Result{};
    result->algorithm = *algorithm;
    return SUCCESS;
}
int cublasLtMatmul(
    void *, Desc *desc, const float *alpha, const void *a, Layout *la, const void *b, Layout *lb,
    const float *beta, const void *c, Layout *lc, void *d, Layout *ld, const Algorithm *algorithm,
    void *, size_t, void *stream)
{
    if (!fits(desc, la, lb, lc, ld) || !algorithm) return INVALID_VALUE;
    if (!serves(*algorithm, desc, la, lb, lc) || refuses(*algorithm, ld)) return NOT_SUPPORTED;
    const void *bases[4] = {a, b, c, d};
    const Layout *layouts[4] = {la, lb, lc, ld};
    for (int i = 0; i < 4; i++) {
        uint64_t pitch = (uint64_t)layouts[i]->leading * (layouts[i]->type == R_32F ? 4 : 2);
        if (((uint64_t)bases[i] | pitch) % algorithm->alignment[i]) return INVALID_VALUE;
    }
    std::lock_guard<std::recursive_mutex> guard(cusim::lock());
    for (const void *base : bases)
        if (!cusim::reaches(stream, base)) return EXECUTION_FAILED;
    if (cusim::failure(stream)) return EXECUTION_FAILED;
    /* Descriptors and scalars may go when the call returns; the work may not have begun. */
    Work work = {*desc, *la, *lb, *lc, *ld, algorithm->piece, *alpha, *beta, a, b, c, d};
    cusim::enqueue([work] { multiply(work); }, stream);
    return SUCCESS;
}
}
