"""FER+: FER2013 under the votes of ten taggers, from either of its layouts."""
