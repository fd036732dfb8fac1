// Makes the n-th allocation of some shared objects fail; preloaded into a process that calls the two functions below.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

// glibc's own, under names that nobody replaces.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static atomic_long countdown;  // 0: not armed
static size_t smallest;
static atomic_int failed;

// The n-th from now on of at least so many bytes fails.
void fail_allocation(long n, size_t least) {
  failed = 0;
  smallest = least;
  countdown = n;
}

// None fails any more. Says whether the one came that was to fail.
int allocation_failed(void) {
  countdown = 0;
  return failed;
}

static int concerns(void* caller) {
  Dl_info info;
  if (!dladdr(caller, &info) || !info.dli_fname) return 0;
  return strstr(info.dli_fname, "nncore/_core") || strstr(info.dli_fname, "libstdc++") ||
         strstr(info.dli_fname, "_multiarray_umath");
}

static int fails(void* caller, size_t n) {
  if (countdown <= 0 || n < smallest || !concerns(caller) || atomic_fetch_sub(&countdown, 1) != 1) return 0;
  failed = 1;
  errno = ENOMEM;
  return 1;
}

#define FAILS(n) fails(__builtin_return_address(0), n)

void* malloc(size_t n) { return FAILS(n) ? NULL : __libc_malloc(n); }
void* calloc(size_t count, size_t n) { return FAILS(count * n) ? NULL : __libc_calloc(count, n); }
void* realloc(void* old, size_t n) { return FAILS(n) ? NULL : __libc_realloc(old, n); }
void* memalign(size_t alignment, size_t n) { return FAILS(n) ? NULL : __libc_memalign(alignment, n); }
void* aligned_alloc(size_t alignment, size_t n) { return FAILS(n) ? NULL : __libc_memalign(alignment, n); }
int posix_memalign(void** out, size_t alignment, size_t n) {
  if (FAILS(n) || !(*out = __libc_memalign(alignment, n))) return ENOMEM;
  return 0;
}
