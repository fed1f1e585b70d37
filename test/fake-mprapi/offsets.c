/* Prints where the compiler puts each field: `S origin structure size align`, `F structure field offset size` and
   `N structure member offset type`. Origin `mingw` is mingw-w64's own header, `own` is missing.h. */
#define _WIN32_WINNT 0x0A00
#include <windows.h>
#include <mprapi.h>
#include <stddef.h>
#include <stdio.h>
#include "missing.h"
#include "fields.h"

#define FIELD(T, KIND, F) \
  printf("F %s %s %u %u\n", #T, #F, (unsigned)offsetof(T, F), (unsigned)sizeof(((T *)0)->F));
#define NEST(T, F, U) printf("N %s %s %u %s\n", #T, #F, (unsigned)offsetof(T, F), #U);
#define STRUCT_OF(ORIGIN, T, FIELDS) \
  printf("S %s %s %u %u\n", ORIGIN, #T, (unsigned)sizeof(T), (unsigned)_Alignof(T)); \
  FIELDS(FIELD, T)

int main(void) {
  STRUCT_OF("mingw", MPRAPI_OBJECT_HEADER, FIELDS_MPRAPI_OBJECT_HEADER)
  STRUCT_OF("mingw", PPP_PROJECTION_INFO, FIELDS_PPP_PROJECTION_INFO)
  STRUCT_OF("mingw", IKEV2_PROJECTION_INFO, FIELDS_IKEV2_PROJECTION_INFO)
  STRUCT_OF("mingw", PROJECTION_INFO, FIELDS_PROJECTION_INFO)
  STRUCT_OF("mingw", RAS_CONNECTION_EX, FIELDS_RAS_CONNECTION_EX)
  STRUCT_OF("mingw", RAS_UPDATE_CONNECTION, FIELDS_RAS_UPDATE_CONNECTION)
  STRUCT_OF("mingw", MPR_INTERFACE_0, FIELDS_MPR_INTERFACE_0)
  STRUCT_OF("mingw", MPR_INTERFACE_2, FIELDS_MPR_INTERFACE_2)
  STRUCT_OF("mingw", RAS_PORT_0, FIELDS_RAS_PORT_0)
  STRUCT_OF("mingw", MPR_SERVER_0, FIELDS_MPR_SERVER_0)
  STRUCT_OF("own", PPP_PROJECTION_INFO2, FIELDS_PPP_PROJECTION_INFO2)
  STRUCT_OF("own", IKEV2_PROJECTION_INFO2, FIELDS_IKEV2_PROJECTION_INFO2)
  STRUCT_OF("own", PROJECTION_INFO2, FIELDS_PROJECTION_INFO)
  STRUCT_OF("own", RAS_CONNECTION_4, FIELDS_RAS_CONNECTION_4)
  NESTED(NEST)
  NESTED_OWN(NEST)
  return 0;
}
