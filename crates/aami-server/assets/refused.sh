#!/bin/sh
# AAMI: what was asked for cannot be had. This script only says why.
{
  printf 'error: %s [%s]\nhint: %s\n' @DETAIL@ @CODE@ @HINT@ >&2
  exit @EXIT@
}
