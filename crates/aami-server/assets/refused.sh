#!/bin/sh
# AAMI: the bootstrap token is not good. This script only says why.
{
  printf 'error: %s [%s]\nhint: %s\n' @DETAIL@ @CODE@ @HINT@ >&2
  exit 4
}
