"""The life of a face-masking model: data, training, attack, registry, serving, release."""
