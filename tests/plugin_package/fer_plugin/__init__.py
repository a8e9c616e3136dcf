"""A package from outside: one of each thing that fer_bench takes."""
