"""Known wrong formulae, so that a failure can be given a name: from the text that names it to the formula."""
