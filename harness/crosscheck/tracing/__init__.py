"""What a training run computes, seen from outside: nothing of an implementation is changed or computed again."""
