/* A fake mprapi.dll for tests under Wine: it answers from a script, keeps a ledger of what it gave away, logs each
   call and can be told to misbehave. README.md documents the script. It must never forgive a caller's mistake that the
   real DLL would not forgive: those are recorded as errors in the ledger. */
#define _WIN32_WINNT 0x0A00
#include <windows.h>
#include <mprapi.h>
#include <mprerror.h>
#include <raserror.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "missing.h"
#include "fields.h"

_Static_assert(sizeof(MPRAPI_OBJECT_HEADER) == 4, "MPRAPI_OBJECT_HEADER");
_Static_assert(sizeof(PPP_PROJECTION_INFO) == 192, "PPP_PROJECTION_INFO");
_Static_assert(sizeof(IKEV2_PROJECTION_INFO) == 144, "IKEV2_PROJECTION_INFO");
_Static_assert(sizeof(PROJECTION_INFO) == 200, "PROJECTION_INFO");
_Static_assert(sizeof(PPP_PROJECTION_INFO2) == 200, "PPP_PROJECTION_INFO2");
_Static_assert(sizeof(IKEV2_PROJECTION_INFO2) == 144, "IKEV2_PROJECTION_INFO2");
_Static_assert(sizeof(PROJECTION_INFO2) == 208, "PROJECTION_INFO2");
_Static_assert(sizeof(RAS_CONNECTION_EX) == 1672, "RAS_CONNECTION_EX");
_Static_assert(sizeof(RAS_CONNECTION_4) == 1696, "RAS_CONNECTION_4");
_Static_assert(sizeof(RAS_UPDATE_CONNECTION) == 268, "RAS_UPDATE_CONNECTION");
_Static_assert(sizeof(MPR_INTERFACE_0) == 552, "MPR_INTERFACE_0");
_Static_assert(sizeof(MPR_INTERFACE_2) == 2496, "MPR_INTERFACE_2");
_Static_assert(sizeof(RAS_PORT_0) == 392, "RAS_PORT_0");
_Static_assert(sizeof(MPR_SERVER_0) == 16, "MPR_SERVER_0");

/* ---- Fields by name ---------------------------------------------------------------------------------------------- */

enum kind { NUM, TEXT, RAW };
struct field {
  const char *name;
  enum kind kind;
  size_t offset, size;
};
#define ENTRY(T, KIND, F) {#F, KIND, offsetof(T, F), sizeof(((T *)0)->F)},
#define TABLE(name, T) static const struct field name[] = {FIELDS_##T(ENTRY, T){NULL, NUM, 0, 0}};
TABLE(HEADER_FIELDS, MPRAPI_OBJECT_HEADER)
TABLE(PPP_FIELDS, PPP_PROJECTION_INFO)
TABLE(PPP2_FIELDS, PPP_PROJECTION_INFO2)
TABLE(IKEV2_FIELDS, IKEV2_PROJECTION_INFO)
TABLE(IKEV22_FIELDS, IKEV2_PROJECTION_INFO2)
TABLE(EX_FIELDS, RAS_CONNECTION_EX)
TABLE(LEVEL4_FIELDS, RAS_CONNECTION_4)
TABLE(INTERFACE_FIELDS, MPR_INTERFACE_2)
TABLE(PORT_FIELDS, RAS_PORT_0)
TABLE(SERVER_FIELDS, MPR_SERVER_0)

/* ---- State, all under `lock` --------------------------------------------------------------------------------------- */

struct connection {
  RAS_CONNECTION_EX ex;
  RAS_CONNECTION_4 level4;
  ULONGLONG started_at; /* FILETIME ticks; 0: duration and start are as they stand */
};
struct iface {
  MPR_INTERFACE_2 info;
  DWORD connect_code; /* dwLastError of an attempt, 0: it succeeds */
  DWORD dial_error;   /* dwLastError while an attempt is under way, 0: as it was before */
  DWORD connect_ms;
  bool connect_never;
  ULONGLONG due; /* tick count at which the attempt under way ends, 0: none */
};
/* Sizes of RAS_CONNECTION_4 with its handles as the protocol carries them, 32 bits wide; and with byte counters to match. */
enum { WIRE_WIDE = 1688, WIRE_NARROW = 1680 };
enum resume_mode { RESUME_INDEX, RESUME_SAME, RESUME_CYCLE, RESUME_VALUE };
struct behaviour {
  DWORD code, result, delay, entries, total, page, resume_value, wire;
  bool has_code, has_result, has_entries, has_total, hang, crash, null_buffer, empty;
  enum resume_mode resume;
  WCHAR text[256];
};
struct rule {
  char function[64], once[64], server[64], argument[64];
  DWORD level, nth, from, until;
  bool has_level;
  char *actions[32];
  int count;
};
struct block {
  BYTE *start;
  void *region;
  size_t size;
  struct block *next;
};
struct server {
  HANDLE handle;
  char name[64];
  bool live;
  int in_flight;
};
struct counter {
  const char *name;
  DWORD calls, calls_of_script;
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct connection *connections;
static size_t connection_count;
static RAS_PORT_0 *ports;
static size_t port_count;
static struct iface *interfaces;
static size_t interface_count;
static MPR_SERVER_0 server_info;
static bool total_ports_given, ports_in_use_given, initialized;
static struct rule *rules;
static size_t rule_count;
static char *script_text;
static WIN32_FILE_ATTRIBUTE_DATA script_seen;
static bool script_read;
static ULONGLONG attached;
static ULONGLONG anchor; /* FILETIME ticks at the first script: default start times count from here */

static struct server servers[256];
static size_t server_count;
static struct counter counters[32];
static struct block *live_blocks;
static struct block *freed_blocks[16];
static size_t freed_next;
static DWORD allocs, frees, errors;
static char error_texts[8192];
static WCHAR script_path[MAX_PATH * 2], ledger_path[MAX_PATH * 2], log_path[MAX_PATH * 2], module_path[MAX_PATH];
static HANDLE log_file = INVALID_HANDLE_VALUE;

static void record_error(const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  errors++;
  size_t used = strlen(error_texts);
  if (used + strlen(text) + 8 < sizeof error_texts) snprintf(error_texts + used, sizeof error_texts - used, "error %s\n", text);
}

static ULONGLONG now_ticks(void) {
  FILETIME time;
  GetSystemTimeAsFileTime(&time);
  return ((ULONGLONG)time.dwHighDateTime << 32) | time.dwLowDateTime;
}

/* ---- Ledger and log ------------------------------------------------------------------------------------------------ */

static void read_path(const WCHAR *variable, WCHAR *path, size_t capacity) {
  WCHAR raw[MAX_PATH * 2];
  DWORD length = GetEnvironmentVariableW(variable, raw, sizeof raw / sizeof *raw);
  path[0] = 0;
  if (length == 0 || length >= sizeof raw / sizeof *raw) return;
  const WCHAR *mark = wcsstr(raw, L"%p");
  if (mark == NULL) {
    wcsncpy(path, raw, capacity - 1);
    return;
  }
  _snwprintf(path, capacity - 1, L"%.*ls%lu%ls", (int)(mark - raw), raw, GetCurrentProcessId(), mark + 2);
}

static void append_log(const char *line) {
  if (!log_path[0]) return;
  if (log_file == INVALID_HANDLE_VALUE)
    log_file = CreateFileW(log_path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                           OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
  DWORD written;
  if (log_file != INVALID_HANDLE_VALUE) WriteFile(log_file, line, (DWORD)strlen(line), &written, NULL);
}

/* Rewritten as a whole under another name first, so that a reader sees the old or the new one. */
static void write_ledger(void) {
  static char text[16384];
  if (!ledger_path[0]) return;
  char module[MAX_PATH * 3] = "";
  WideCharToMultiByte(CP_UTF8, 0, module_path, -1, module, sizeof module, NULL, NULL);
  int used = snprintf(text, sizeof text, "pid %lu\nattached %llu\nmodule %s\nallocs %lu\nfrees %lu\nlive %lu\nerrors %lu\n",
                      GetCurrentProcessId(), attached, module, allocs, frees, allocs - frees, errors);
  for (size_t i = 0; i < sizeof counters / sizeof *counters && counters[i].name; i++)
    used += snprintf(text + used, sizeof text - (size_t)used, "calls %s %lu\n", counters[i].name, counters[i].calls);
  snprintf(text + used, sizeof text - (size_t)used, "%s", error_texts);
  WCHAR part[MAX_PATH * 2 + 16];
  _snwprintf(part, sizeof part / sizeof *part - 1, L"%ls.%lu", ledger_path, GetCurrentProcessId());
  part[sizeof part / sizeof *part - 1] = 0;
  HANDLE file = CreateFileW(part, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file == INVALID_HANDLE_VALUE) return;
  DWORD written;
  WriteFile(file, text, (DWORD)strlen(text), &written, NULL);
  CloseHandle(file);
  MoveFileExW(part, ledger_path, MOVEFILE_REPLACE_EXISTING);
}

/* ---- Buffers: each ends right before a page that cannot be read -------------------------------------------------- */

static BYTE *allocate(size_t size) {
  const size_t page = 4096;
  size_t padded = (size + 7) & ~(size_t)7, pages = (padded + page - 1) / page * page;
  struct block *block = malloc(sizeof *block);
  BYTE *region = VirtualAlloc(NULL, pages + page, MEM_RESERVE, PAGE_NOACCESS);
  if (block == NULL || region == NULL || VirtualAlloc(region, pages, MEM_COMMIT, PAGE_READWRITE) == NULL) abort();
  memset(region, 0xEE, pages);
  *block = (struct block){.start = region + pages - padded, .region = region, .size = padded, .next = live_blocks};
  memset(block->start, 0, padded);
  live_blocks = block;
  allocs++;
  return block->start;
}

static DWORD release(void *pointer) {
  for (struct block **at = &live_blocks; *at; at = &(*at)->next) {
    struct block *block = *at;
    if (block->start != pointer) continue;
    *at = block->next;
    memset(block->start, 0xDD, block->size);
    frees++;
    struct block **oldest = &freed_blocks[freed_next++ % (sizeof freed_blocks / sizeof *freed_blocks)];
    if (*oldest) {
      VirtualFree((*oldest)->region, 0, MEM_RELEASE);
      free(*oldest);
    }
    *oldest = block;
    return NO_ERROR;
  }
  for (size_t i = 0; i < sizeof freed_blocks / sizeof *freed_blocks; i++)
    if (freed_blocks[i] && freed_blocks[i]->start == pointer) {
      record_error("MprAdminBufferFree: double free");
      return ERROR_INVALID_PARAMETER;
    }
  record_error("MprAdminBufferFree: foreign pointer");
  return ERROR_INVALID_PARAMETER;
}

/* ---- Script: values -------------------------------------------------------------------------------------------------- */

/* UTF-8 with \uXXXX (any UTF-16 unit), \s (space), \n, \t and \\; no terminator. Returns the units written. */
static size_t to_units(const char *value, WCHAR *out, size_t capacity) {
  WCHAR raw[4096];
  int length = MultiByteToWideChar(CP_UTF8, 0, value, -1, raw, sizeof raw / sizeof *raw) - 1;
  size_t used = 0;
  for (int i = 0; i < length; i++) {
    WCHAR unit = raw[i];
    if (unit == '\\' && i + 1 < length) {
      unit = raw[++i];
      if (unit == 's') unit = ' ';
      else if (unit == 'n') unit = '\n';
      else if (unit == 't') unit = '\t';
      else if (unit == 'u' && i + 4 < length) {
        WCHAR digits[5] = {raw[i + 1], raw[i + 2], raw[i + 3], raw[i + 4], 0};
        unit = (WCHAR)wcstoul(digits, NULL, 16);
        i += 4;
      }
    }
    if (used == capacity) {
      record_error("script: text longer than its field: %.40s", value);
      return used;
    }
    out[used++] = unit;
  }
  return used;
}

static ULONGLONG to_number(const char *value) {
  return value[0] == '-' ? (ULONGLONG)_strtoi64(value, NULL, 0) : _strtoui64(value, NULL, 0);
}

static void set_bytes(BYTE *to, size_t size, const char *hex) {
  if (strlen(hex) != size * 2) record_error("script: %u hex digits wanted: %.40s", (unsigned)(size * 2), hex);
  for (size_t i = 0; i < size && hex[i * 2] && hex[i * 2 + 1]; i++) {
    char digits[3] = {hex[i * 2], hex[i * 2 + 1], 0};
    to[i] = (BYTE)strtoul(digits, NULL, 16);
  }
}

static bool set_field(void *base, const struct field *table, const char *name, const char *value) {
  for (const struct field *f = table; f->name; f++) {
    if (strcmp(f->name, name) != 0) continue;
    BYTE *to = (BYTE *)base + f->offset;
    if (f->kind == TEXT) {
      memset(to, 0, f->size);
      to_units(value, (WCHAR *)to, f->size / sizeof(WCHAR));
    } else if (f->kind == RAW) {
      set_bytes(to, f->size, value);
    } else {
      ULONGLONG number = to_number(value);
      memcpy(to, &number, f->size);
    }
    return true;
  }
  return false;
}

static void set_text(WCHAR *to, size_t capacity, const WCHAR *format, ...) {
  va_list args;
  va_start(args, format);
  _vsnwprintf(to, capacity - 1, format, args);
  va_end(args);
}
#define SET_TEXT(array, ...) set_text(array, sizeof(array) / sizeof(WCHAR), __VA_ARGS__)

/* `OFFSET:SIZE`, a number of SIZE bytes written over whatever stands there. */
static bool poke(void *base, size_t size, const char *where, const char *value) {
  char *end;
  size_t offset = strtoul(where, &end, 0), width = *end == ':' ? strtoul(end + 1, NULL, 0) : 0;
  ULONGLONG number = to_number(value);
  if (width == 0 || width > 8 || offset + width > size) return false;
  memcpy((BYTE *)base + offset, &number, width);
  return true;
}

/* ---- Script: records ------------------------------------------------------------------------------------------------- */

static const struct { const char *name; const WCHAR *device; DWORD type, flags; BYTE projection; } TUNNELS[] = {
  {"sstp", L"WAN Miniport (SSTP)", 14, 1, 1},   {"ikev2", L"WAN Miniport (IKEv2)", 15, 0x10, 2},
  {"l2tp", L"WAN Miniport (L2TP)", 9, 1, 1},    {"pptp", L"WAN Miniport (PPTP)", 8, 1, 1},
  {"pppoe", L"WAN Miniport (PPPOE)", 13, 1, 1},
};
#define TUNNEL_COUNT (sizeof TUNNELS / sizeof *TUNNELS)

static bool set_tunnel(struct connection *c, const char *name) {
  for (size_t i = 0; i < TUNNEL_COUNT; i++) {
    if (strcmp(TUNNELS[i].name, name) != 0) continue;
    PROJECTION_INFO *p = &c->ex.ProjectionInfo;
    PROJECTION_INFO2 *p2 = &c->level4.ProjectionInfo;
    WCHAR client[IPADDRESSLEN + 1];
    memcpy(client, p->PppProjectionInfo.wszRemoteAddress, sizeof client);
    memset(p, 0, sizeof *p);
    memset(p2, 0, sizeof *p2);
    c->level4.dwDeviceType = TUNNELS[i].type;
    c->ex.dwConnectionFlags = c->level4.dwConnectionFlags = TUNNELS[i].flags;
    p->projectionInfoType = p2->projectionInfoType = TUNNELS[i].projection;
    if (TUNNELS[i].projection == 1) {
      p->PppProjectionInfo.dwAuthenticationProtocol = p2->PppProjectionInfo.dwAuthenticationProtocol = 0xC223;
      p->PppProjectionInfo.dwAuthenticationData = p2->PppProjectionInfo.dwAuthenticationData = 0x81;
    } else {
      p->Ikev2ProjectionInfo.dwAuthenticationProtocol = p2->Ikev2ProjectionInfo.dwAuthenticationProtocol = 2;
      p->Ikev2ProjectionInfo.dwEapTypeId = p2->Ikev2ProjectionInfo.dwEapTypeId = 26;
      p->Ikev2ProjectionInfo.dwEncryptionMethod = p2->Ikev2ProjectionInfo.dwEncryptionMethod = 5;
    }
    /* The address texts lie at the same place in both variants. */
    SET_TEXT(p->PppProjectionInfo.wszAddress, L"10.8.0.1");
    SET_TEXT(p2->PppProjectionInfo.wszAddress, L"10.8.0.1");
    memcpy(p->PppProjectionInfo.wszRemoteAddress, client, sizeof client);
    memcpy(p2->PppProjectionInfo.wszRemoteAddress, client, sizeof client);
    return true;
  }
  return false;
}

static void default_connection(struct connection *c, size_t i) {
  unsigned n = (unsigned)i;
  memset(c, 0, sizeof *c);
  RAS_CONNECTION_EX *ex = &c->ex;
  RAS_CONNECTION_4 *l4 = &c->level4;
  SET_TEXT(ex->ProjectionInfo.PppProjectionInfo.wszRemoteAddress, L"10.8.%u.%u", n / 250 % 256, n % 250 + 2);
  set_tunnel(c, "sstp");
  ex->Header = (MPRAPI_OBJECT_HEADER){1, MPRAPI_OBJECT_TYPE_RAS_CONNECTION_OBJECT, sizeof *ex};
  ex->dwConnectDuration = 60 * (n % 1440 + 1);
  ex->dwInterfaceType = ROUTER_IF_TYPE_CLIENT;
  SET_TEXT(ex->wszInterfaceName, L"user%u", n);
  SET_TEXT(ex->wszUserName, L"user%u", n);
  SET_TEXT(ex->wszLogonDomain, L"CORP");
  SET_TEXT(ex->wszRemoteComputer, L"PC-%u", n);
  SET_TEXT(ex->wszRemoteEndpointAddress, L"203.0.%u.%u", 113 + n / 250 % 100, n % 250 + 1);
  SET_TEXT(ex->wszLocalEndpointAddress, L"198.51.100.1");
  ex->guid = (GUID){0xFA4E0000u + n, 0x1234, 0x5678, {1, 2, 3, 4, 5, 6, 7, 8}};
  ex->dwBytesXmited = 2000 * (n + 1);
  ex->dwBytesRcved = 1000 * (n + 1);
  ex->dwFramesXmited = 20 * (n + 1);
  ex->dwFramesRcved = 10 * (n + 1);
  ex->dwCompressionRatioIn = ex->dwCompressionRatioOut = 100;
  ex->hConnection = (HANDLE)(ULONG_PTR)(0x10000 + n);
  ex->hInterface = (HANDLE)(ULONG_PTR)(0x200000 + n);
  l4->ullBytesXmited = ex->dwBytesXmited;
  l4->ullBytesRcved = ex->dwBytesRcved;
  for (const struct field *from = EX_FIELDS; from->name; from++)
    for (const struct field *to = LEVEL4_FIELDS; to->name; to++)
      if (strcmp(from->name, to->name) == 0 && strcmp(from->name, "dwConnectionFlags") != 0)
        memcpy((BYTE *)l4 + to->offset, (BYTE *)ex + from->offset, to->size);
  c->started_at = anchor - ex->dwConnectDuration * 10000000ull;
}

static bool set_connection(struct connection *c, const char *key, const char *value) {
  if (strcmp(key, "tunnel") == 0) return set_tunnel(c, value);
  if (strcmp(key, "startedAt") == 0) {
    c->started_at = (to_number(value) + 11644473600ull) * 10000000ull;
    return true;
  }
  if (strncmp(key, "ex@", 3) == 0) return poke(&c->ex, sizeof c->ex, key + 3, value);
  if (strncmp(key, "level4@", 7) == 0) return poke(&c->level4, sizeof c->level4, key + 7, value);
  if (strncmp(key, "Header.", 7) == 0) return set_field(&c->ex.Header, HEADER_FIELDS, key + 7, value);
  PROJECTION_INFO *p = &c->ex.ProjectionInfo;
  PROJECTION_INFO2 *p2 = &c->level4.ProjectionInfo;
  if (strcmp(key, "projectionInfoType") == 0) {
    p->projectionInfoType = p2->projectionInfoType = (UCHAR)to_number(value);
    return true;
  }
  bool set = false;
  if (strncmp(key, "Ppp.", 4) == 0) {
    set |= set_field(&p->PppProjectionInfo, PPP_FIELDS, key + 4, value);
    set |= set_field(&p2->PppProjectionInfo, PPP2_FIELDS, key + 4, value);
    return set;
  }
  if (strncmp(key, "Ikev2.", 6) == 0) {
    set |= set_field(&p->Ikev2ProjectionInfo, IKEV2_FIELDS, key + 6, value);
    set |= set_field(&p2->Ikev2ProjectionInfo, IKEV22_FIELDS, key + 6, value);
    return set;
  }
  if (strcmp(key, "dwConnectDuration") == 0) {
    ULONGLONG start = anchor - to_number(value) * 10000000ull;
    memcpy(&c->level4.connectionStartTime, &start, 8);
    c->started_at = 0;
  }
  if (strcmp(key, "connectionStartTime") == 0) c->started_at = 0;
  set |= set_field(&c->ex, EX_FIELDS, key, value);
  set |= set_field(&c->level4, LEVEL4_FIELDS, key, value);
  if (strcmp(key, "ullBytesXmited") == 0) c->ex.dwBytesXmited = (DWORD)c->level4.ullBytesXmited;
  if (strcmp(key, "ullBytesRcved") == 0) c->ex.dwBytesRcved = (DWORD)c->level4.ullBytesRcved;
  return set;
}

static const WCHAR *device_of(const char *tunnel, DWORD type) {
  for (size_t i = 0; i < TUNNEL_COUNT; i++)
    if (tunnel ? strcmp(TUNNELS[i].name, tunnel) == 0 : TUNNELS[i].type == (type & 0xFFFF)) return TUNNELS[i].device;
  return NULL;
}

static void default_port(RAS_PORT_0 *p, size_t i) {
  memset(p, 0, sizeof *p);
  p->hPort = (HANDLE)(ULONG_PTR)(0x300000 + i);
  p->dwPortCondition = RAS_PORT_LISTENING;
  SET_TEXT(p->wszPortName, L"VPN%u-%u", (unsigned)i / 128, (unsigned)i % 128);
  SET_TEXT(p->wszMediaName, L"rastapi");
  SET_TEXT(p->wszDeviceName, L"WAN Miniport (SSTP)");
  SET_TEXT(p->wszDeviceType, L"vpn");
}

static bool set_port(RAS_PORT_0 *p, const char *key, const char *value) {
  if (strcmp(key, "tunnel") == 0) {
    const WCHAR *device = device_of(value, 0);
    if (device) SET_TEXT(p->wszDeviceName, L"%ls", device);
    return device != NULL;
  }
  if (!set_field(p, PORT_FIELDS, key, value)) return false;
  if (strcmp(key, "hConnection") == 0) p->dwPortCondition = p->hConnection ? RAS_PORT_AUTHENTICATED : RAS_PORT_LISTENING;
  return true;
}

/* A port for each connection and `idle` ones more. */
static void automatic_ports(size_t idle) {
  size_t first = port_count;
  port_count += connection_count + idle;
  ports = realloc(ports, port_count * sizeof *ports);
  if (port_count && !ports) abort();
  for (size_t i = first; i < port_count; i++) {
    default_port(&ports[i], i);
    if (i - first >= connection_count) continue;
    const RAS_CONNECTION_4 *l4 = &connections[i - first].level4;
    const WCHAR *device = device_of(NULL, l4->dwDeviceType);
    if (device) SET_TEXT(ports[i].wszDeviceName, L"%ls", device);
    ports[i].hConnection = l4->hConnection;
    ports[i].dwPortCondition = RAS_PORT_AUTHENTICATED;
    ports[i].dwTotalNumberOfCalls = 1;
    ports[i].dwConnectDuration = l4->dwConnectDuration;
  }
}

static void default_interface(struct iface *f, size_t i) {
  memset(f, 0, sizeof *f);
  SET_TEXT(f->info.wszInterfaceName, L"Site %u", (unsigned)i);
  f->info.hInterface = (HANDLE)(ULONG_PTR)(0x400000 + i);
  f->info.fEnabled = TRUE;
  f->info.dwIfType = ROUTER_IF_TYPE_FULL_ROUTER;
  f->info.dwConnectionState = ROUTER_IF_STATE_CONNECTED;
  SET_TEXT(f->info.szLocalPhoneNumber, L"vpn%u.example", (unsigned)i);
  SET_TEXT(f->info.szDeviceType, L"vpn");
  f->info.dwType = 2;
}

static bool set_interface(struct iface *f, const char *key, const char *value) {
  if (strcmp(key, "connect") == 0) {
    f->connect_never = strcmp(value, "never") == 0;
    f->connect_code = strncmp(value, "fail:", 5) == 0 ? (DWORD)to_number(value + 5) : 0;
    return f->connect_never || f->connect_code || strcmp(value, "ok") == 0;
  }
  if (strcmp(key, "dialError") == 0) {
    f->dial_error = (DWORD)to_number(value);
    return true;
  }
  if (strcmp(key, "connectMs") == 0) {
    f->connect_ms = (DWORD)to_number(value);
    return true;
  }
  return set_field(&f->info, INTERFACE_FIELDS, key, value);
}

static bool set_server(const char *key, const char *value) {
  if (strcmp(key, "initialized") == 0) {
    initialized = to_number(value) != 0;
    return true;
  }
  if (strcmp(key, "dwTotalPorts") == 0) total_ports_given = true;
  if (strcmp(key, "dwPortsInUse") == 0) ports_in_use_given = true;
  return set_field(&server_info, SERVER_FIELDS, key, value);
}

/* ---- Script: rules ----------------------------------------------------------------------------------------------------- */

static bool set_behaviour(struct behaviour *b, const char *key, const char *value) {
  if (strcmp(key, "code") == 0) b->code = (DWORD)to_number(value), b->has_code = true;
  else if (strcmp(key, "result") == 0) b->result = (DWORD)to_number(value), b->has_result = true;
  else if (strcmp(key, "delay") == 0) b->delay = (DWORD)to_number(value);
  else if (strcmp(key, "hang") == 0) b->hang = true;
  else if (strcmp(key, "crash") == 0) b->crash = true;
  else if (strcmp(key, "null") == 0) b->null_buffer = true;
  else if (strcmp(key, "empty") == 0) b->empty = true;
  else if (strcmp(key, "entries") == 0) b->entries = (DWORD)to_number(value), b->has_entries = true;
  else if (strcmp(key, "total") == 0) b->total = (DWORD)to_number(value), b->has_total = true;
  else if (strcmp(key, "page") == 0) b->page = (DWORD)to_number(value);
  else if (strcmp(key, "wire") == 0) {
    b->wire = (DWORD)to_number(value);
    return b->wire == WIRE_NARROW || b->wire == WIRE_WIDE;
  }
  else if (strcmp(key, "text") == 0) {
    memset(b->text, 0, sizeof b->text);
    to_units(value, b->text, sizeof b->text / sizeof(WCHAR) - 1);
  } else if (strcmp(key, "resume") == 0) {
    b->resume = strcmp(value, "same") == 0 ? RESUME_SAME : strncmp(value, "cycle:", 6) == 0 ? RESUME_CYCLE : RESUME_VALUE;
    b->resume_value = (DWORD)to_number(b->resume == RESUME_CYCLE ? value + 6 : value);
  } else return false;
  return true;
}

/* Splits KEY=VALUE in place; a key alone has the value "". */
static char *split(char *token) {
  char *equals = strchr(token, '=');
  if (equals == NULL) return token + strlen(token);
  *equals = 0;
  return equals + 1;
}

static void add_rule(char **tokens, int count) {
  rules = realloc(rules, (rule_count + 1) * sizeof *rules);
  if (!rules) abort();
  struct rule *r = &rules[rule_count++];
  memset(r, 0, sizeof *r);
  snprintf(r->function, sizeof r->function, "%s", count ? tokens[0] : "");
  for (int i = 1; i < count; i++) {
    char *key = tokens[i];
    char *equals = strchr(key, '=');
    const char *value = equals ? equals + 1 : "";
    size_t length = equals ? (size_t)(equals - key) : strlen(key);
#define KEY(name) (length == sizeof name - 1 && strncmp(key, name, length) == 0)
    if (KEY("level")) r->level = (DWORD)to_number(value), r->has_level = true;
    else if (KEY("nth")) r->nth = (DWORD)to_number(value);
    else if (KEY("from")) r->from = (DWORD)to_number(value);
    else if (KEY("until")) r->until = (DWORD)to_number(value);
    else if (KEY("once")) snprintf(r->once, sizeof r->once, "%s", value);
    else if (KEY("server")) snprintf(r->server, sizeof r->server, "%s", value);
    else if (KEY("if")) snprintf(r->argument, sizeof r->argument, " %s", value);
    else if (r->count < (int)(sizeof r->actions / sizeof *r->actions)) r->actions[r->count++] = key;
#undef KEY
  }
}

/* True for the first process and call that asks: a marker file next to the script remembers. */
static bool claim(const char *name) {
  WCHAR path[MAX_PATH * 2 + 80];
  _snwprintf(path, sizeof path / sizeof *path - 1, L"%ls.once.%hs", script_path, name);
  path[sizeof path / sizeof *path - 1] = 0;
  HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file != INVALID_HANDLE_VALUE) CloseHandle(file);
  return file != INVALID_HANDLE_VALUE;
}

/* Whether the log line of a call has this word, a space before it. */
static bool has_word(const char *line, const char *word) {
  size_t length = strlen(word);
  for (const char *at = strstr(line, word); at; at = strstr(at + 1, word))
    if (at[length] == ' ' || at[length] == 0) return true;
  return false;
}

static struct behaviour behaviour_for(const char *function, int level, const char *server, const char *line, DWORD nth) {
  struct behaviour b;
  memset(&b, 0, sizeof b);
  for (size_t i = 0; i < rule_count; i++) {
    const struct rule *r = &rules[i];
    if (strcmp(r->function, "*") != 0 && strcmp(r->function, function) != 0) continue;
    if (r->has_level && (int)r->level != level) continue;
    if (r->server[0] && _stricmp(r->server, server) != 0) continue;
    if (r->argument[0] && !has_word(line, r->argument)) continue;
    if ((r->nth && nth != r->nth) || (r->from && nth < r->from) || (r->until && nth > r->until)) continue;
    if (r->once[0] && !claim(r->once)) continue;
    for (int a = 0; a < r->count; a++) {
      char token[1024];
      snprintf(token, sizeof token, "%s", r->actions[a]);
      const char *value = split(token);
      if (!set_behaviour(&b, token, value)) record_error("script: no such action: %.40s", token);
    }
  }
  return b;
}

/* ---- Script: reading ----------------------------------------------------------------------------------------------------- */

static size_t take_count(char **tokens, int *count) {
  for (int i = 0; i < *count; i++)
    if (strncmp(tokens[i], "count=", 6) == 0) {
      size_t n = (size_t)to_number(tokens[i] + 6);
      tokens[i] = tokens[--*count];
      return n;
    }
  return 1;
}

static void read_line(char *line) {
  static char *tokens[512];
  int count = 0;
  for (char *t = strtok(line, " \t\r"); t && count < 512; t = strtok(NULL, " \t\r")) tokens[count++] = t;
  if (count == 0 || tokens[0][0] == '#') return;
  const char *what = tokens[0];
  char **rest = tokens + 1;
  int n = count - 1;
  if (strcmp(what, "call") == 0) {
    add_rule(rest, n);
    return;
  }
  if (strcmp(what, "notify") == 0) return; /* for watch_script */
  size_t copies = strcmp(what, "server") == 0 || strcmp(what, "autoports") == 0 ? 1 : take_count(rest, &n);
  char *values[512];
  for (int i = 0; i < n; i++) values[i] = split(rest[i]);
  if (strcmp(what, "autoports") == 0) {
    automatic_ports(n && strcmp(rest[0], "idle") == 0 ? (size_t)to_number(values[0]) : 0);
    return;
  }
#define RECORDS(array, counter, make, set) \
  do { \
    size_t first = counter; \
    array = realloc(array, (counter + copies) * sizeof *array); \
    if (!array && counter + copies) abort(); \
    for (; counter < first + copies; counter++) { \
      make(&array[counter], counter); \
      for (int i = 0; i < n; i++) \
        if (!set(&array[counter], rest[i], values[i])) record_error("script: no such key: %s %.40s", what, rest[i]); \
    } \
  } while (0)
  if (strcmp(what, "connection") == 0) RECORDS(connections, connection_count, default_connection, set_connection);
  else if (strcmp(what, "port") == 0) RECORDS(ports, port_count, default_port, set_port);
  else if (strcmp(what, "interface") == 0) RECORDS(interfaces, interface_count, default_interface, set_interface);
  else if (strcmp(what, "server") == 0) {
    for (int i = 0; i < n; i++)
      if (!set_server(rest[i], values[i])) record_error("script: no such key: server %.40s", rest[i]);
  } else record_error("script: no such line: %.40s", what);
#undef RECORDS
}

/* Reads the script anew if its time or size has changed; what actions changed is then forgotten. */
static void load_script(void) {
  WIN32_FILE_ATTRIBUTE_DATA now;
  if (!script_path[0] || !GetFileAttributesExW(script_path, GetFileExInfoStandard, &now)) return;
  if (script_read && memcmp(&now.ftLastWriteTime, &script_seen.ftLastWriteTime, sizeof now.ftLastWriteTime) == 0 &&
      now.nFileSizeLow == script_seen.nFileSizeLow)
    return;
  HANDLE file = CreateFileW(script_path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file == INVALID_HANDLE_VALUE) return;
  DWORD size = GetFileSize(file, NULL), length = 0;
  char *text = malloc((size_t)size + 1);
  if (!text) abort();
  ReadFile(file, text, size, &length, NULL);
  CloseHandle(file);
  text[length] = 0;
  script_seen = now;
  script_read = true;
  if (!anchor) anchor = now_ticks();
  connection_count = port_count = interface_count = rule_count = 0;
  memset(&server_info, 0, sizeof server_info);
  server_info.dwUpTime = 3600;
  total_ports_given = ports_in_use_given = false;
  initialized = true;
  free(script_text);
  script_text = text; /* the rules point into it */
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) counters[i].calls_of_script = 0;
  for (char *line = text; line;) {
    char *next = strchr(line, '\n');
    if (next) *next++ = 0;
    read_line(line);
    line = next;
  }
}

/* ---- One call -------------------------------------------------------------------------------------------------------------- */

struct call {
  const char *function;
  struct behaviour b;
  struct server *server;
  bool stale;
  char line[2048];
  int used;
};

static void note(struct call *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(c->line + c->used, sizeof c->line - (size_t)c->used - 2, format, args);
  va_end(args);
  if (n > 0) c->used += n;
  if (c->used > (int)sizeof c->line - 3) c->used = (int)sizeof c->line - 3;
}

static struct counter *count_call(const char *function) {
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    if (counters[i].name == NULL) counters[i].name = function;
    if (strcmp(counters[i].name, function) != 0) continue;
    counters[i].calls++;
    counters[i].calls_of_script++;
    return &counters[i];
  }
  abort();
}

static void settle_interfaces(void) {
  ULONGLONG now = GetTickCount64();
  for (size_t i = 0; i < interface_count; i++) {
    struct iface *f = &interfaces[i];
    if (!f->due || now < f->due) continue;
    f->due = 0;
    f->info.dwLastError = f->connect_code;
    f->info.dwConnectionState = f->connect_code ? ROUTER_IF_STATE_DISCONNECTED : ROUTER_IF_STATE_CONNECTED;
    f->info.fUnReachabilityReasons = f->connect_code ? MPR_INTERFACE_CONNECTION_FAILURE : 0;
  }
}

static void write_log_line(struct call *c) {
  c->line[c->used] = '\n';
  c->line[c->used + 1] = 0;
  append_log(c->line);
}

/* Does what the script says about waiting and dying; the lock is free meanwhile and held on return. */
static void begin(struct call *c, const char *function, bool has_handle, HANDLE handle, const char *server_name, int level,
                  const char *arguments, ...) {
  memset(c, 0, sizeof *c);
  c->function = function;
  AcquireSRWLockExclusive(&lock);
  load_script();
  note(c, "ms=%llu pid=%lu tid=%lu fn=%s", GetTickCount64(), GetCurrentProcessId(), GetCurrentThreadId(), function);
  if (has_handle) {
    note(c, " handle=0x%llx", (ULONGLONG)(ULONG_PTR)handle);
    for (size_t i = 0; i < server_count; i++)
      if (servers[i].handle == handle) c->server = &servers[i];
    c->stale = c->server == NULL || !c->server->live;
    if (c->stale) record_error("%s: stale or unknown server handle", function);
    else if (c->server->in_flight++ > 0) record_error("%s: calls overlap on one server handle", function);
  }
  va_list args;
  va_start(args, arguments);
  int n = vsnprintf(c->line + c->used, sizeof c->line - (size_t)c->used - 2, arguments, args);
  va_end(args);
  if (n > 0) c->used = c->used + n < (int)sizeof c->line - 2 ? c->used + n : (int)sizeof c->line - 3;
  if (level >= 0) note(c, " level=%d", level);
  DWORD nth = count_call(function)->calls_of_script;
  c->b = behaviour_for(function, level, c->server ? c->server->name : server_name, c->line, nth);
  if (c->b.hang || c->b.crash) {
    note(c, c->b.hang ? " code=hang" : " code=crash");
    write_log_line(c);
    write_ledger();
  }
  ReleaseSRWLockExclusive(&lock);
  if (c->b.hang) Sleep(INFINITE);
  if (c->b.crash) {
    int *volatile nowhere = NULL;
    *(volatile int *)nowhere = 1;
  }
  if (c->b.delay) Sleep(c->b.delay);
  AcquireSRWLockExclusive(&lock);
  settle_interfaces();
}

static DWORD finish(struct call *c, DWORD code) {
  if (c->server && !c->stale) c->server->in_flight--;
  note(c, " code=%lu", code);
  write_log_line(c);
  write_ledger();
  ReleaseSRWLockExclusive(&lock);
  return code;
}

/* The answer that needs no work: a scripted code, a stale handle, or a LAN-only router. True if there is one. */
static bool refused(const struct call *c, bool remote_access_only, DWORD *code) {
  if (c->b.has_code) *code = c->b.code;
  else if (c->stale) *code = RPC_S_INVALID_BINDING;
  else if (remote_access_only && server_info.fLanOnlyMode) *code = ERROR_DDM_NOT_RUNNING;
  else return false;
  return true;
}

/* The code of a call that has done its work. */
static DWORD worked(const struct call *c, DWORD code) {
  return c->b.has_result ? c->b.result : code;
}

static DWORD give_info(struct call *c, LPBYTE *out, const void *data, size_t size) {
  if (!c->b.null_buffer) {
    *out = allocate(size);
    memcpy(*out, data, size);
  }
  return worked(c, NO_ERROR);
}

typedef void fill_record(BYTE *to, size_t index, const size_t *select);

static DWORD enumerate(struct call *c, size_t count, size_t stride, fill_record *fill, const size_t *select, DWORD preferred,
                       LPDWORD read, LPDWORD total, LPBYTE *out, LPDWORD resume) {
  const struct behaviour *b = &c->b;
  DWORD in = resume ? *resume : 0, next = 0, code = NO_ERROR;
  size_t start = b->resume == RESUME_SAME ? 0 : in;
  if (b->resume == RESUME_CYCLE) start = count ? (size_t)in * (b->page ? b->page : 1) % count : 0;
  if (start > count) start = count;
  size_t left = count - start, n = left;
  if (preferred != 0xFFFFFFFF) {
    size_t fits = preferred / stride;
    if (fits == 0) n = 0;
    else if (n > fits + 1) n = fits + 1;
  }
  if (b->page && n > b->page) n = b->page;
  if (b->empty) n = 0;
  if (n < left || b->empty) {
    code = ERROR_MORE_DATA;
    next = (DWORD)(start + n);
  }
  if (b->resume == RESUME_SAME) next = 1, code = ERROR_MORE_DATA;
  if (b->resume == RESUME_CYCLE) next = in % (b->resume_value ? b->resume_value : 1) + 1, code = ERROR_MORE_DATA;
  if (b->resume == RESUME_VALUE) next = b->resume_value;
  code = worked(c, code);
  *out = NULL;
  if (n > 0 && !b->null_buffer) {
    *out = allocate(n * stride);
    for (size_t i = 0; i < n; i++) fill(*out + i * stride, start + i, select);
  }
  *read = b->has_entries ? b->entries : (DWORD)n;
  *total = b->has_total ? b->total : (DWORD)left;
  if (resume) *resume = next;
  note(c, " entries=%lu total=%lu resumeOut=%lu buffer=%d", *read, *total, next, *out != NULL);
  return code;
}

#define ENUM_ARGS " prefMax=%lu resumeIn=%lu"
#define HEX(handle) ((ULONGLONG)(ULONG_PTR)(handle))

/* ---- Exports: server --------------------------------------------------------------------------------------------------------- */

static void narrow(const WCHAR *name, char *out, size_t size) {
  if (name == NULL) snprintf(out, size, ".");
  else if (!WideCharToMultiByte(CP_UTF8, 0, name, -1, out, (int)size, NULL, NULL)) snprintf(out, size, "?");
}

DWORD WINAPI MprAdminServerConnect(LPWSTR name, MPR_SERVER_HANDLE *out) {
  struct call c;
  char text[64];
  narrow(name, text, sizeof text);
  begin(&c, "MprAdminServerConnect", false, NULL, text, -1, " server=%s", text);
  DWORD code = NO_ERROR;
  if (c.b.has_code) code = c.b.code;
  else if (out == NULL) code = RPC_S_INVALID_BINDING;
  else if (server_count == sizeof servers / sizeof *servers) code = ERROR_NOT_ENOUGH_MEMORY;
  else {
    struct server *s = &servers[server_count++];
    /* All 64 bits in use: a caller that cuts the handle to 32 or 53 bits is found out. */
    s->handle = (HANDLE)(ULONG_PTR)(0x8123456789AB0000ull + server_count);
    s->live = true;
    snprintf(s->name, sizeof s->name, "%s", text);
    *out = s->handle;
    note(&c, " handle=0x%llx", HEX(s->handle));
  }
  return finish(&c, code);
}

VOID WINAPI MprAdminServerDisconnect(MPR_SERVER_HANDLE server) {
  struct call c;
  begin(&c, "MprAdminServerDisconnect", true, server, ".", -1, "%s", "");
  if (c.server && !c.stale) c.server->live = false;
  finish(&c, NO_ERROR);
}

DWORD WINAPI MprAdminIsServiceInitialized(LPWSTR name, WINBOOL *out) {
  struct call c;
  char text[64];
  narrow(name, text, sizeof text);
  begin(&c, "MprAdminIsServiceInitialized", false, NULL, text, -1, " server=%s", text);
  DWORD code = c.b.has_code ? c.b.code : out == NULL ? ERROR_INVALID_PARAMETER : NO_ERROR;
  if (code == NO_ERROR) *out = initialized;
  return finish(&c, code);
}

DWORD WINAPI MprAdminServerGetInfo(MPR_SERVER_HANDLE server, DWORD level, LPBYTE *out) {
  struct call c;
  begin(&c, "MprAdminServerGetInfo", true, server, ".", (int)level, "%s", "");
  DWORD code;
  if (!refused(&c, false, &code)) {
    if (out == NULL) code = ERROR_INVALID_PARAMETER;
    else if (level != 0) code = ERROR_INVALID_LEVEL;
    else {
      MPR_SERVER_0 info = server_info;
      if (!total_ports_given) info.dwTotalPorts = (DWORD)port_count;
      for (size_t i = 0; i < port_count && !ports_in_use_given; i++) info.dwPortsInUse += ports[i].hConnection != NULL;
      code = give_info(&c, out, &info, sizeof info);
    }
  }
  return finish(&c, code);
}

/* ---- Exports: connections ------------------------------------------------------------------------------------------------------ */

static void live_times(const struct connection *c, DWORD *duration, FILETIME *start) {
  if (!c->started_at) return;
  ULONGLONG now = now_ticks();
  *duration = now > c->started_at ? (DWORD)((now - c->started_at) / 10000000ull) : 0;
  if (start) memcpy(start, &c->started_at, sizeof *start);
}

static void fill_ex(BYTE *to, size_t i, const size_t *select) {
  (void)select;
  memcpy(to, &connections[i].ex, sizeof(RAS_CONNECTION_EX));
  live_times(&connections[i], &((RAS_CONNECTION_EX *)to)->dwConnectDuration, NULL);
}

static void fill_level4(BYTE *to, size_t i, const size_t *select) {
  (void)select;
  memcpy(to, &connections[i].level4, sizeof(RAS_CONNECTION_4));
  RAS_CONNECTION_4 *record = (RAS_CONNECTION_4 *)to;
  live_times(&connections[i], &record->dwConnectDuration, &record->connectionStartTime);
}

/* The members of RAS_CONNECTION_4 without the padding and the upper halves that the wire does not carry. */
static void fill_wire(BYTE *to, size_t i, const size_t *select, size_t counter_size) {
  RAS_CONNECTION_4 record;
  fill_level4((BYTE *)&record, i, select);
  const size_t frames = offsetof(RAS_CONNECTION_4, dwFramesXmited), handles = offsetof(RAS_CONNECTION_4, hConnection);
  BYTE *at = to + offsetof(RAS_CONNECTION_4, ullBytesXmited);
  memcpy(to, &record, (size_t)(at - to));
  memcpy(at, &record.ullBytesXmited, counter_size);
  memcpy(at + counter_size, &record.ullBytesRcved, counter_size);
  at += 2 * counter_size;
  memcpy(at, (BYTE *)&record + frames, handles - frames);
  at += handles - frames;
  memcpy(at, &record.hConnection, sizeof(DWORD));
  memcpy(at + sizeof(DWORD), &record.hInterface, sizeof(DWORD));
  memcpy(at + 2 * sizeof(DWORD), &record.dwDeviceType, sizeof(DWORD));
}

static void fill_wide_wire(BYTE *to, size_t i, const size_t *select) {
  fill_wire(to, i, select, sizeof(ULONG64));
}

static void fill_narrow_wire(BYTE *to, size_t i, const size_t *select) {
  fill_wire(to, i, select, sizeof(DWORD));
}

DWORD WINAPI MprAdminConnectionEnumEx(RAS_SERVER_HANDLE server, PMPRAPI_OBJECT_HEADER header, DWORD preferred, LPDWORD read,
                                      LPDWORD total, PRAS_CONNECTION_EX *out, LPDWORD resume) {
  struct call c;
  begin(&c, "MprAdminConnectionEnumEx", true, server, ".", -1, ENUM_ARGS, preferred, resume ? *resume : 0);
  DWORD code;
  if (!refused(&c, true, &code)) {
    if (!header || !read || !total || !out || !resume) code = ERROR_INVALID_PARAMETER;
    else if (header->revision != 1 || header->type != 1) code = ERROR_INVALID_PARAMETER;
    else if (header->size != sizeof(RAS_CONNECTION_EX)) code = ERROR_INVALID_SIZE;
    else code = enumerate(&c, connection_count, sizeof(RAS_CONNECTION_EX), fill_ex, NULL, preferred, read, total,
                          (LPBYTE *)out, resume);
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminConnectionEnum(RAS_SERVER_HANDLE server, DWORD level, LPBYTE *out, DWORD preferred, LPDWORD read,
                                    LPDWORD total, LPDWORD resume) {
  struct call c;
  begin(&c, "MprAdminConnectionEnum", true, server, ".", (int)level, ENUM_ARGS, preferred, resume ? *resume : 0);
  DWORD code;
  if (!refused(&c, true, &code)) {
    if (!read || !total || !out) code = ERROR_INVALID_PARAMETER;
    else if (level != 4) code = ERROR_INVALID_LEVEL;
    else {
      fill_record *fill = c.b.wire == WIRE_NARROW ? fill_narrow_wire : c.b.wire == WIRE_WIDE ? fill_wide_wire : fill_level4;
      size_t stride = c.b.wire ? c.b.wire : sizeof(RAS_CONNECTION_4);
      code = enumerate(&c, connection_count, stride, fill, NULL, preferred, read, total, out, resume);
    }
  }
  return finish(&c, code);
}

static void release_port(RAS_PORT_0 *port) {
  port->hConnection = NULL;
  port->dwConnectDuration = 0;
  port->dwPortCondition = RAS_PORT_LISTENING;
}

static void drop_connection(HANDLE handle) {
  size_t kept = 0;
  for (size_t i = 0; i < connection_count; i++)
    if (connections[i].ex.hConnection != handle) connections[kept++] = connections[i];
  connection_count = kept;
  for (size_t i = 0; i < port_count; i++)
    if (ports[i].hConnection == handle) release_port(&ports[i]);
}

/* Multilink: the connection lasts until its last port is hung up. */
static void hang_up(RAS_PORT_0 *port) {
  HANDLE connection = port->hConnection;
  if (connection == NULL) return;
  release_port(port);
  for (size_t i = 0; i < port_count; i++)
    if (ports[i].hConnection == connection) return;
  drop_connection(connection);
}

DWORD APIENTRY MprAdminUpdateConnection(RAS_SERVER_HANDLE server, HANDLE connection, RAS_UPDATE_CONNECTION *update) {
  struct call c;
  char hex[sizeof(RAS_UPDATE_CONNECTION) * 2 + 1] = "";
  for (size_t i = 0; update && i < sizeof *update; i++) snprintf(hex + i * 2, 3, "%02x", ((BYTE *)update)[i]);
  begin(&c, "MprAdminUpdateConnection", true, server, ".", -1, " connection=0x%llx bytes=%s", HEX(connection), hex);
  DWORD code;
  if (!refused(&c, false, &code)) {
    struct connection *found = NULL;
    for (size_t i = 0; i < connection_count; i++)
      if (connections[i].ex.hConnection == connection) found = &connections[i];
    if (!update || update->Header.revision != 1 || update->Header.type != 5 || update->Header.size != sizeof *update)
      code = ERROR_INVALID_PARAMETER;
    else if (!found || found->ex.ProjectionInfo.projectionInfoType != 2) code = 837; /* ERROR_INVALID_TUNNELID */
    else {
      memcpy(found->ex.wszRemoteEndpointAddress, update->wszRemoteEndpointAddress, sizeof update->wszRemoteEndpointAddress);
      memcpy(found->ex.wszLocalEndpointAddress, update->wszLocalEndpointAddress, sizeof update->wszLocalEndpointAddress);
      memcpy(found->level4.wszRemoteEndpointAddress, update->wszRemoteEndpointAddress,
             sizeof update->wszRemoteEndpointAddress);
      memcpy(found->level4.wszLocalEndpointAddress, update->wszLocalEndpointAddress, sizeof update->wszLocalEndpointAddress);
      found->ex.dwNumSwitchOvers++;
      found->level4.dwNumSwitchOvers++;
      code = worked(&c, NO_ERROR);
    }
  }
  return finish(&c, code);
}

/* ---- Exports: ports ------------------------------------------------------------------------------------------------------------ */

static void fill_port(BYTE *to, size_t i, const size_t *select) {
  memcpy(to, &ports[select[i]], sizeof(RAS_PORT_0));
}

DWORD WINAPI MprAdminPortEnum(RAS_SERVER_HANDLE server, DWORD level, HANDLE connection, LPBYTE *out, DWORD preferred,
                              LPDWORD read, LPDWORD total, LPDWORD resume) {
  struct call c;
  begin(&c, "MprAdminPortEnum", true, server, ".", (int)level, " connection=0x%llx" ENUM_ARGS, HEX(connection), preferred,
        resume ? *resume : 0);
  DWORD code;
  if (refused(&c, true, &code)) {
    if (resume) *resume = 0xFFFFFFFF;
  } else if (!read || !total || !out) code = ERROR_INVALID_PARAMETER;
  else if (level != 0) code = ERROR_NOT_SUPPORTED;
  else if (connection == NULL) code = ERROR_INVALID_HANDLE;
  else {
    size_t *select = malloc((port_count + 1) * sizeof *select), count = 0;
    if (!select) abort();
    for (size_t i = 0; i < port_count; i++)
      if (connection == INVALID_HANDLE_VALUE || ports[i].hConnection == connection) select[count++] = i;
    code = enumerate(&c, count, sizeof(RAS_PORT_0), fill_port, select, preferred, read, total, out, resume);
    free(select);
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminPortDisconnect(RAS_SERVER_HANDLE server, HANDLE port) {
  struct call c;
  begin(&c, "MprAdminPortDisconnect", true, server, ".", -1, " port=0x%llx", HEX(port));
  DWORD code;
  if (!refused(&c, true, &code)) {
    code = ERROR_INVALID_PARAMETER;
    for (size_t i = 0; i < port_count; i++)
      if (ports[i].hPort == port) {
        code = worked(&c, NO_ERROR);
        hang_up(&ports[i]);
      }
  }
  return finish(&c, code);
}

/* ---- Exports: interfaces ------------------------------------------------------------------------------------------------------- */

static void fill_interface(BYTE *to, size_t i, const size_t *select) {
  (void)select;
  memcpy(to, &interfaces[i].info, offsetof(MPR_INTERFACE_0, dwLastError) + sizeof(DWORD));
}

static struct iface *find_interface(HANDLE handle) {
  for (size_t i = 0; i < interface_count; i++)
    if (interfaces[i].info.hInterface == handle) return &interfaces[i];
  return NULL;
}

DWORD WINAPI MprAdminInterfaceEnum(MPR_SERVER_HANDLE server, DWORD level, LPBYTE *out, DWORD preferred, LPDWORD read,
                                   LPDWORD total, LPDWORD resume) {
  struct call c;
  begin(&c, "MprAdminInterfaceEnum", true, server, ".", (int)level, ENUM_ARGS, preferred, resume ? *resume : 0);
  DWORD code;
  if (!refused(&c, false, &code)) {
    if (!read || !total || !out) code = ERROR_INVALID_PARAMETER;
    else if (level != 0) code = ERROR_NOT_SUPPORTED;
    else code = enumerate(&c, interface_count, sizeof(MPR_INTERFACE_0), fill_interface, NULL, preferred, read, total, out,
                          resume);
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminInterfaceGetHandle(MPR_SERVER_HANDLE server, LPWSTR name, HANDLE *out, WINBOOL include_clients) {
  struct call c;
  char units[600] = "";
  for (size_t i = 0; name && name[i] && i < 120; i++) snprintf(units + i * 4, 5, "%04x", name[i]);
  begin(&c, "MprAdminInterfaceGetHandle", true, server, ".", -1, " units=%s clients=%d", units, include_clients);
  DWORD code;
  if (!refused(&c, false, &code)) {
    code = ERROR_NO_SUCH_INTERFACE;
    if (!name || !out) code = RPC_X_NULL_REF_POINTER;
    for (size_t i = 0; name && out && i < interface_count; i++) {
      const MPR_INTERFACE_2 *info = &interfaces[i].info;
      if (!include_clients && info->dwIfType == ROUTER_IF_TYPE_CLIENT) continue;
      if (wcsncmp(info->wszInterfaceName, name, sizeof info->wszInterfaceName / sizeof(WCHAR)) != 0) continue;
      *out = info->hInterface;
      code = NO_ERROR;
      break;
    }
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminInterfaceGetInfo(MPR_SERVER_HANDLE server, HANDLE handle, DWORD level, LPBYTE *out) {
  struct call c;
  begin(&c, "MprAdminInterfaceGetInfo", true, server, ".", (int)level, " interface=0x%llx", HEX(handle));
  DWORD code;
  if (!refused(&c, false, &code)) {
    const struct iface *f = find_interface(handle);
    if (!out) code = ERROR_INVALID_PARAMETER;
    else if (!f) code = ERROR_INVALID_HANDLE;
    else if (level == 0) {
      MPR_INTERFACE_0 info;
      memset(&info, 0, sizeof info);
      fill_interface((BYTE *)&info, (size_t)(f - interfaces), NULL);
      code = give_info(&c, out, &info, sizeof info);
    } else if (level == 2 && f->info.dwIfType == ROUTER_IF_TYPE_FULL_ROUTER)
      code = give_info(&c, out, &f->info, sizeof f->info);
    else code = ERROR_INVALID_LEVEL;
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminInterfaceConnect(MPR_SERVER_HANDLE server, HANDLE handle, HANDLE event, WINBOOL synchronous) {
  struct call c;
  begin(&c, "MprAdminInterfaceConnect", true, server, ".", -1, " interface=0x%llx event=0x%llx synchronous=%d", HEX(handle),
        HEX(event), synchronous);
  DWORD code;
  if (!refused(&c, true, &code)) {
    struct iface *f = find_interface(handle);
    if (!f) code = ERROR_INVALID_HANDLE;
    else if (!f->info.fEnabled) code = ERROR_INTERFACE_DISABLED;
    else if (f->info.dwConnectionState == ROUTER_IF_STATE_CONNECTING) code = ERROR_ALREADY_CONNECTING;
    else if (f->info.dwConnectionState == ROUTER_IF_STATE_CONNECTED) code = NO_ERROR;
    else {
      f->info.dwConnectionState = ROUTER_IF_STATE_CONNECTING;
      if (f->dial_error) f->info.dwLastError = f->dial_error;
      f->due = f->connect_never ? 0 : GetTickCount64() + f->connect_ms;
      code = worked(&c, PENDING);
      if (synchronous && event == NULL && !f->connect_never) {
        f->due = 1;
        settle_interfaces();
        code = f->connect_code;
      }
    }
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminInterfaceDisconnect(MPR_SERVER_HANDLE server, HANDLE handle) {
  struct call c;
  begin(&c, "MprAdminInterfaceDisconnect", true, server, ".", -1, " interface=0x%llx", HEX(handle));
  DWORD code;
  if (!refused(&c, true, &code)) {
    struct iface *f = find_interface(handle);
    if (!f) code = ERROR_INVALID_HANDLE;
    else if (f->info.dwConnectionState < ROUTER_IF_STATE_CONNECTING) code = ERROR_INTERFACE_NOT_CONNECTED;
    else {
      f->info.dwConnectionState = ROUTER_IF_STATE_DISCONNECTED;
      f->due = 0;
      for (size_t i = connection_count; i-- > 0;)
        if (connections[i].ex.hInterface == handle) drop_connection(connections[i].ex.hConnection);
      code = worked(&c, NO_ERROR);
    }
  }
  return finish(&c, code);
}

/* ---- Exports: notifications --------------------------------------------------------------------------------------------------- */

static HANDLE notified_events[16];
static bool watching;

/* Whether the script begins with the line "notify". */
static bool script_wants_notification(void) {
  char head[8] = {0};
  DWORD length = 0;
  HANDLE file = CreateFileW(script_path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file == INVALID_HANDLE_VALUE) return false;
  ReadFile(file, head, 6, &length, NULL);
  CloseHandle(file);
  return strcmp(head, "notify") == 0;
}

/* Signals the registered events when the script has changed to one that begins with "notify". */
static DWORD WINAPI watch_script(LPVOID unused) {
  (void)unused;
  WIN32_FILE_ATTRIBUTE_DATA last;
  memset(&last, 0, sizeof last);
  GetFileAttributesExW(script_path, GetFileExInfoStandard, &last);
  for (;;) {
    Sleep(50);
    WIN32_FILE_ATTRIBUTE_DATA now;
    memset(&now, 0, sizeof now);
    if (!GetFileAttributesExW(script_path, GetFileExInfoStandard, &now)) continue;
    if (CompareFileTime(&now.ftLastWriteTime, &last.ftLastWriteTime) == 0 && now.nFileSizeLow == last.nFileSizeLow) continue;
    last = now;
    if (!script_wants_notification()) continue;
    AcquireSRWLockExclusive(&lock);
    for (size_t i = 0; i < sizeof notified_events / sizeof *notified_events; i++)
      if (notified_events[i]) SetEvent(notified_events[i]);
    ReleaseSRWLockExclusive(&lock);
  }
  return 0;
}

DWORD WINAPI MprAdminRegisterConnectionNotification(MPR_SERVER_HANDLE server, HANDLE event) {
  struct call c;
  begin(&c, "MprAdminRegisterConnectionNotification", true, server, ".", -1, " event=0x%llx", HEX(event));
  DWORD code;
  if (!refused(&c, true, &code)) {
    size_t place = 0;
    while (place < sizeof notified_events / sizeof *notified_events && notified_events[place]) place++;
    if (!event || place == sizeof notified_events / sizeof *notified_events) code = ERROR_INVALID_PARAMETER;
    else {
      notified_events[place] = event;
      if (!watching) {
        watching = true;
        CloseHandle(CreateThread(NULL, 0, watch_script, NULL, 0, NULL));
      }
      code = NO_ERROR;
    }
  }
  return finish(&c, code);
}

DWORD WINAPI MprAdminDeregisterConnectionNotification(MPR_SERVER_HANDLE server, HANDLE event) {
  struct call c;
  begin(&c, "MprAdminDeregisterConnectionNotification", true, server, ".", -1, " event=0x%llx", HEX(event));
  DWORD code;
  if (!refused(&c, true, &code)) {
    code = ERROR_INVALID_PARAMETER;
    for (size_t i = 0; i < sizeof notified_events / sizeof *notified_events; i++)
      if (event && notified_events[i] == event) {
        notified_events[i] = NULL;
        code = NO_ERROR;
        break;
      }
  }
  return finish(&c, code);
}

/* ---- Exports: helpers ---------------------------------------------------------------------------------------------------------- */

DWORD WINAPI MprAdminGetErrorString(DWORD error, LPWSTR *out) {
  struct call c;
  begin(&c, "MprAdminGetErrorString", false, NULL, ".", -1, " error=%lu", error);
  DWORD code = c.b.has_code ? c.b.code : out == NULL ? ERROR_INVALID_PARAMETER : NO_ERROR;
  if (code == NO_ERROR) {
    WCHAR text[256] = L"";
    if (c.b.text[0]) memcpy(text, c.b.text, sizeof text);
    else SET_TEXT(text, L"Fake text for %lu.\r\n", error);
    *out = LocalAlloc(LMEM_FIXED, sizeof text);
    if (*out == NULL) abort();
    memcpy(*out, text, sizeof text);
  }
  return finish(&c, code);
}

/* Not for rules and not in the log: it is called inside other work, and the ledger counts it. */
DWORD WINAPI MprAdminBufferFree(LPVOID buffer) {
  AcquireSRWLockExclusive(&lock);
  count_call("MprAdminBufferFree");
  DWORD code = ERROR_INVALID_PARAMETER;
  if (buffer == NULL) record_error("MprAdminBufferFree: NULL");
  else code = release(buffer);
  write_ledger();
  ReleaseSRWLockExclusive(&lock);
  return code;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved) {
  (void)reserved;
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  DisableThreadLibraryCalls(instance);
  attached = GetTickCount64();
  GetModuleFileNameW(instance, module_path, MAX_PATH);
  read_path(L"FAKE_MPRAPI_SCRIPT", script_path, sizeof script_path / sizeof(WCHAR));
  read_path(L"FAKE_MPRAPI_LEDGER", ledger_path, sizeof ledger_path / sizeof(WCHAR));
  read_path(L"FAKE_MPRAPI_LOG", log_path, sizeof log_path / sizeof(WCHAR));
  char line[MAX_PATH * 3 + 64], module[MAX_PATH * 3] = "";
  WideCharToMultiByte(CP_UTF8, 0, module_path, -1, module, sizeof module, NULL, NULL);
  snprintf(line, sizeof line, "ms=%llu pid=%lu tid=%lu fn=attach module=%s\n", attached, GetCurrentProcessId(),
           GetCurrentThreadId(), module);
  append_log(line);
  return TRUE;
}
