"""Speed of whole experiments: overhead of a run, two workers against one, 1,000 runs, and a shell loop over rl_zoo3."""
