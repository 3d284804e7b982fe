"""The planted bugs, by the stage of training that they are in."""
