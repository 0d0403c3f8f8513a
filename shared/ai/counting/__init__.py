"""Token costs of texts without a model's vocabulary: pieces, pairs of letters and alphabets."""
