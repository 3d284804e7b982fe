/* Elementary functions of arrays, and products of matrices, by the functions that PyTorch itself calls.
 *
 * With MKL, ATen computes exp, log, tanh and sqrt of contiguous float32 tensors by Intel's VML (aten/src/ATen/cpu/vml.h), and
 * matrix products by sgemm. Inside its own vectorised kernels, such as softmax, it calls Sleef.
 */
#include "kernels.h"

static int lanes = 8;

/* n: 8 where ATen's kernels run as compiled for AVX2, 16 where they run as compiled for AVX-512. */
EXPORT void set_wide_lanes(int n) { lanes = n; }
int wide_lanes(void) { return lanes; }

void vml_exp(int64_t n, const float *x, float *y) { vml(torch_math.VMSEXP_, (int)n, x, y); }
void vml_log(int64_t n, const float *x, float *y) { vml(torch_math.VMSLN_, (int)n, x, y); }
void vml_tanh(int64_t n, const float *x, float *y) { vml(torch_math.VMSTANH_, (int)n, x, y); }
void vml_sqrt(int64_t n, const float *x, float *y) { vml(torch_math.VMSSQRT_, (int)n, x, y); }

/* Eight at a time, and the rest in a vector that is filled up with zeros, as ATen's Vectorized is loaded. Sleef rounds
 * alike in vectors of 8 and of 16. */
static void sleef(Sleef8 function, int64_t n, const float *x, float *y) {
    int64_t i = 0;
    Vector8 vector;
    for (; i + 8 <= n; i += 8) {
        memcpy(&vector, x + i, sizeof vector);
        vector = function(vector);
        memcpy(y + i, &vector, sizeof vector);
    }
    if (i < n) {
        size_t rest = (size_t)(n - i) * sizeof(float);
        memset(&vector, 0, sizeof vector);
        memcpy(&vector, x + i, rest);
        vector = function(vector);
        memcpy(y + i, &vector, rest);
    }
}

void sleef_exp(int64_t n, const float *x, float *y) { sleef(torch_math.Sleef_expf8_u10, n, x, y); }
void sleef_erf(int64_t n, const float *x, float *y) { sleef(torch_math.Sleef_erff8_u10, n, x, y); }
void sleef_expm1(int64_t n, const float *x, float *y) { sleef(torch_math.Sleef_expm1f8_u10, n, x, y); }
void sleef_log1p(int64_t n, const float *x, float *y) { sleef(torch_math.Sleef_log1pf8_u10, n, x, y); }
void sleef_tanh(int64_t n, const float *x, float *y) { sleef(torch_math.Sleef_tanhf8_u10, n, x, y); }

/* Column-major, as in Fortran: c [m, n] = a [m, k] b [k, n] + beta * c */
void sgemm(char transpose_a, char transpose_b, int m, int n, int k, const float *a, int lda, const float *b, int ldb,
           float beta, float *c, int ldc) {
    const float alpha = 1;
    torch_math.sgemm_(&transpose_a, &transpose_b, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);
}
