/* Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, eq. 16), as custom_ppo/gae.py rounds them. */
#include "torch_math.h"

#include <stdbool.h>

/* Advantages and returns [n_steps, n_envs] of a rollout, from the last step to the first:
 *
 *     delta_t  = (r_t + (gamma * V(s_{t+1})) * (1 - start_{t+1})) - V(s_t)
 *     A_t      = delta_t + ((gamma * lambda) * (1 - start_{t+1})) * A_{t+1}
 *     return_t = A_t + V(s_t)
 *
 * The factors gamma and gamma * lambda are rounded to float32 once, as NumPy does with Python's numbers; every operation
 * below is rounded by itself, in this order. last_values and dones [n_envs] stand for row n_steps. */
EXPORT void gae_advantages(int64_t n_steps, int64_t n_envs, const float *rewards, const float *values,
                           const float *episode_starts, const float *last_values, const bool *dones, double gamma,
                           double gae_lambda, float *advantages, float *returns) {
    const float discount = (float)gamma, decay = (float)(gamma * gae_lambda);
    for (int64_t t = n_steps - 1; t >= 0; t--) {
        const int64_t row = t * n_envs, next = row + n_envs;
        const bool last = t == n_steps - 1;
        const float *next_values = last ? last_values : values + next;
        for (int64_t i = 0; i < n_envs; i++) {
            const float goes_on = 1.0f - (last ? (float)dones[i] : episode_starts[next + i]);
            const float next_advantage = last ? 0.0f : advantages[next + i];
            const float delta = (rewards[row + i] + (discount * next_values[i]) * goes_on) - values[row + i];
            advantages[row + i] = delta + (decay * goes_on) * next_advantage;
            returns[row + i] = advantages[row + i] + values[row + i];
        }
    }
}
