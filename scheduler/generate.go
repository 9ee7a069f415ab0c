package scheduler

// The version of clang is Debian 12's, and part of the name, so that everybody generates the same bytes (TestObjectsAreNotStale).
//
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -no-global-types -target bpfel,bpfeb programs bpf/scheduler.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
