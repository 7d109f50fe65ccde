/* Every fsync and fdatasync takes 5 ms longer: a slow disk, for whoever has this preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

enum { DELAY_MICROSECONDS = 5000 };

static int slowly(const char *name, int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep(DELAY_MICROSECONDS);
    return real(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
