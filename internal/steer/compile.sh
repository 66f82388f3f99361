#!/bin/sh
# Compiles forward.c to the object that is named: compile.sh forward.o. The
# object says what it was made of, and by which clang.
set -eu
cd "$(dirname "$0")"
source=$(sha256sum forward.c | cut -d' ' -f1)
compiler=$(clang -dM -E -x c /dev/null | sed -n 's/^#define __clang_major__ //p')
# Debian keeps asm/ with its other architectures' headers.
include="/usr/include/$(uname -m)-linux-gnu"
exec clang -target bpfel -mcpu=v2 -O2 -Wall -Wextra -Werror -fno-ident \
	${include:+-idirafter "$include"} \
	"-DSOURCE=\"$source\"" "-DCOMPILER=\"$compiler\"" -c forward.c -o "$1"
