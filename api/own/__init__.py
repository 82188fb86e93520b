"""Our own dialect: addresses under `/v1`, problems as RFC 9457 has them."""
