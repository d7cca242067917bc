"""The masker: network, training, attackers, evaluation."""
