/* Square roots with the bits of VML's, for the second moments of Adam and RMSprop.
 *
 * VML's square root is not rounded correctly: each of its code paths refines the processor's estimate of 1 / sqrt(x),
 * and every sixth result has another last bit than the instruction vsqrtps. Here are the formulas of these code paths:
 * VML takes four numbers at a time on AMD's processors, and a slow path for zero, which is the second moment of all
 * weights of an input that never changes. The formula that VML uses here is found out by comparing results; where none
 * agrees, VML is called.
 */
#include <immintrin.h>

#include "kernels.h"

/* Square roots of n numbers; y may be x. */
typedef void (*Roots)(int64_t n, const float *x, float *y);

/* Below SMALLEST some code paths scale x, and negative numbers, infinity and NaN are no business of the formulas. */
static const float SMALLEST = 0x1p-76f, LARGEST = 0x1p+126f;

/* mkl_vml_kernel_sSqrt_EXHA, of processors that are not Intel's. With r an estimate of 1 / sqrt(x):
 *     s = x r,  h = r / 2,  e = 1/2 - s h,  s' = s + s e,  h' = h + h e,  result s' + (x - s'^2) h'
 * Each operation is rounded. */
static inline Vector8 refined_apart(Vector8 x) {
    Vector8 estimate = _mm256_rsqrt_ps(x), root = x * estimate, half = estimate * 0.5f;
    Vector8 error = 0.5f - root * half;
    root = root * error + root;
    half = half * error + half;
    return (x - root * root) * half + root;
}

/* mkl_vml_kernel_sSqrt_L9HA, of Intel's with AVX2: the same with one rounding for a product and a sum. */
static inline Vector8 refined_fused(Vector8 x) {
    Vector8 estimate = _mm256_rsqrt_ps(x), root = x * estimate, half = estimate * 0.5f;
    Vector8 error = _mm256_fnmadd_ps(root, half, _mm256_set1_ps(0.5f));
    root = _mm256_fmadd_ps(error, root, root);
    half = _mm256_fmadd_ps(error, half, half);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(root, root, x), half, root);
}

/* mkl_vml_kernel_sSqrt_Z0HA, of Intel's with AVX-512: a better estimate, which needs one refinement less. */
__attribute__((target("avx512f,avx512vl"))) static inline Vector8 refined_once(Vector8 x) {
    Vector8 estimate = _mm256_rsqrt14_ps(x), root = x * estimate, half = estimate * 0.5f;
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(root, root, x), half, root);
}

/* Return the root of 0 for lanes that are zero, and `root` for the others; VML is called if it must be. */
static inline Vector8 completed(Vector8 x, Vector8 root) {
    Vector8 zero = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ);
    Vector8 in_range = _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(SMALLEST), _CMP_GE_OQ),
                                     _mm256_cmp_ps(x, _mm256_set1_ps(LARGEST), _CMP_LE_OQ));
    if (_mm256_movemask_ps(_mm256_or_ps(zero, in_range)) != 0xff) {
        float numbers[8];
        _mm256_storeu_ps(numbers, x);
        vml_sqrt(8, numbers, numbers);
        return _mm256_loadu_ps(numbers);
    }
    return _mm256_blendv_ps(root, x, zero); /* -0.0 stays -0.0 */
}

#define DEFINE_ROOTS(NAME, FORMULA, TARGET)                                                                  \
    TARGET static void NAME(int64_t n, const float *x, float *y) {                                           \
        int64_t i = 0;                                                                                       \
        for (; i + 8 <= n; i += 8) {                                                                         \
            Vector8 numbers = *(const v8 *)(x + i);                                                          \
            *(v8 *)(y + i) = completed(numbers, FORMULA(numbers));                                           \
        }                                                                                                    \
        if (i < n)                                                                                           \
            vml_sqrt(n - i, x + i, y + i);                                                                   \
    }
DEFINE_ROOTS(roots_apart, refined_apart, )
DEFINE_ROOTS(roots_fused, refined_fused, )
DEFINE_ROOTS(roots_once, refined_once, __attribute__((target("avx512f,avx512vl"))))

/* Return true if `roots` has VML's bits in every 31st number from 1 to 4: all mantissas look alike to a formula, and an
 * exponent matters only by being odd or even. Wrong formulas differ in the first block. */
static bool agrees(Roots roots) {
    enum { AT_ONCE = 1024, STRIDE = 31 };
    float x[AT_ONCE], ours[AT_ONCE], theirs[AT_ONCE];
    const uint32_t first = 0x3f800000, end = 0x40800000; /* 1.0f and 4.0f */
    for (uint32_t start = first; start < end; start += AT_ONCE * STRIDE) {
        for (uint32_t i = 0; i < AT_ONCE; ++i) {
            uint32_t bits = start + i * STRIDE;
            memcpy(x + i, &bits, sizeof bits);
        }
        roots(AT_ONCE, x, ours);
        vml_sqrt(AT_ONCE, x, theirs);
        if (memcmp(ours, theirs, sizeof ours) != 0)
            return false;
    }
    return true;
}

static Roots fastest_roots(void) {
    if (agrees(roots_apart))
        return roots_apart;
    if (agrees(roots_fused))
        return roots_fused;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && agrees(roots_once))
        return roots_once;
    return vml_sqrt;
}

void square_roots(int64_t n, const float *x, float *y) {
    static Roots chosen;
    if (!chosen)
        chosen = fastest_roots();
    chosen(n, x, y);
}
