/* The table of torch's functions, and the description of this library. */
#include "torch_math.h"

#include <stddef.h>
#include <string.h>

TorchMath torch_math;

/* Names of torch's functions in the order of the table; NULL ends the list. */
EXPORT const char *const *torch_function_names(void) {
#define NAME(type, name) #name,
    static const char *const names[] = {TORCH_FUNCTIONS(NAME) NULL};
#undef NAME
    return names;
}

/* Take the addresses of torch's functions, in the order of `torch_function_names`; NULL for one that is missing. */
EXPORT void take_torch_functions(const void *const *addresses) { memcpy(&torch_math, addresses, sizeof torch_math); }

/* SHA-256 of the sources and flags that this library was compiled from, in hexadecimal digits. */
EXPORT const char *kernels_digest(void) { return KERNELS_DIGEST; }

/* Name and version of the compiler. */
EXPORT const char *kernels_compiler(void) {
#ifdef __clang__
    return __VERSION__; /* names itself: "Clang 17.0.6" */
#else
    return "GCC " __VERSION__;
#endif
}

/* y = tanh(x) for n numbers, as torch.tanh of a contiguous float32 tensor; shows that a call arrives at torch. */
EXPORT void kernels_tanh(int n, const float *x, float *y) { vml(torch_math.VMSTANH_, n, x, y); }
