"""How long a manifest of millions of pictures takes Pandera and Great Expectations, and in how much memory."""
