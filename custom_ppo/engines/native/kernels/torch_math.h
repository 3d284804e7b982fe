/* Functions that torch itself calls for matrix products and elementary functions. The kernels call the same ones, so
 * that they round as torch does: `library.py` looks them up by name in the loaded libtorch_cpu.so. No header of torch is
 * needed, and nothing of torch is linked. */
#ifndef TORCH_MATH_H
#define TORCH_MATH_H

#include <stdint.h>

/* Functions that Python calls; all others are hidden (-fvisibility=hidden). */
#define EXPORT __attribute__((visibility("default")))

/* Vectors of 8 and 16 floats, as __m256 and __m512 of the calling convention. A function that passes a Vector16 needs
 * __attribute__((target("avx512f"))), and may run only where torch's capability is AVX512. */
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector16 __attribute__((vector_size(64)));

/* BLAS, column-major: c [m, n] = alpha * op(a) [m, k] op(b) [k, n] + beta * c. */
typedef void (*Gemm)(const char *transa, const char *transb, const int *m, const int *n, const int *k,
                     const float *alpha, const float *a, const int *lda, const float *b, const int *ldb,
                     const float *beta, float *c, const int *ldc);
/* The same for `sizes` products of one group (n_groups = 1), with the numbers of each product in arrays; cblas.h. */
typedef void (*GemmBatch)(int layout, const int *transa, const int *transb, const int *m, const int *n, const int *k,
                          const float *alpha, const float **a, const int *lda, const float **b, const int *ldb,
                          const float *beta, float **c, const int *ldc, int n_groups, const int *sizes);
/* MKL's vector mathematics: y[i] = f(x[i]) for n numbers; y may be x. */
typedef void (*Vml)(const int *n, const float *x, float *y, const long long *mode);
typedef Vector8 (*Sleef8)(Vector8);
typedef Vector16 (*Sleef16)(Vector16);

/* The list of all functions, each by its name in libtorch_cpu.so. A new one is added here and nowhere else. */
#define TORCH_FUNCTIONS(F)        \
    F(Gemm, sgemm_)               \
    F(GemmBatch, cblas_sgemm_batch) \
    F(Vml, VMSTANH_)              \
    F(Vml, VMSEXP_)               \
    F(Vml, VMSLN_)                \
    F(Vml, VMSSQRT_)              \
    F(Sleef8, Sleef_expf8_u10)    \
    F(Sleef16, Sleef_expf16_u10)  \
    F(Sleef8, Sleef_expm1f8_u10)  \
    F(Sleef16, Sleef_expm1f16_u10) \
    F(Sleef8, Sleef_logf8_u10)    \
    F(Sleef16, Sleef_logf16_u10)  \
    F(Sleef8, Sleef_log1pf8_u10)  \
    F(Sleef16, Sleef_log1pf16_u10) \
    F(Sleef8, Sleef_tanhf8_u10)   \
    F(Sleef16, Sleef_tanhf16_u10) \
    F(Sleef8, Sleef_erff8_u10)    \
    F(Sleef16, Sleef_erff16_u10)

/* Addresses of these functions, each in a field of its name: torch_math.sgemm_(...). NULL for one that this build of
 * torch lacks: a kernel that needs it is not called then (`Library.has`). */
typedef struct {
#define FIELD(type, name) type name;
    TORCH_FUNCTIONS(FIELD)
#undef FIELD
} TorchMath;
extern TorchMath torch_math;

/* Apply a function of VML in ATen's mode: VML_HA | VML_FTZDAZ_OFF | VML_ERRMODE_IGNORE (aten/src/ATen/cpu/vml.h). */
static inline void vml(Vml function, int n, const float *x, float *y) {
    const long long mode = 0x2 | 0x140000 | 0x100;
    function(&n, x, y, &mode);
}

#endif
