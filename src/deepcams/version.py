"""The version of this software, the same whether it is installed or run from a checkout."""

VERSION = "0.1.0"
