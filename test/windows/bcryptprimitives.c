/* bcryptprimitives.dll of Windows 10 and later, of which Wine 8 has none: the one function that programs in Rust take. */
#include <windows.h>
#include <ntsecapi.h>
#include <stdlib.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
  while (length > 0) {
    ULONG part = length > 0x10000 ? 0x10000 : (ULONG)length;
    if (!RtlGenRandom(data, part)) abort();
    data += part;
    length -= part;
  }
  return TRUE;
}
