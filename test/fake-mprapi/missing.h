/* What mingw-w64's mprapi.h lacks, declared member by member as Windows' own header has it. Offsets come from the
   compiler; the sizes are asserted in mprapi.c. */
#ifndef FAKE_MPRAPI_MISSING_H
#define FAKE_MPRAPI_MISSING_H

typedef struct {
  DWORD dwIPv4NegotiationError;
  WCHAR wszAddress[IPADDRESSLEN + 1];
  WCHAR wszRemoteAddress[IPADDRESSLEN + 1];
  DWORD dwIPv4Options;
  DWORD dwIPv4RemoteOptions;
  ULONG64 IPv4SubInterfaceIndex;
  DWORD dwIPv6NegotiationError;
  BYTE bInterfaceIdentifier[8];
  BYTE bRemoteInterfaceIdentifier[8];
  BYTE bPrefix[8];
  DWORD dwPrefixLength;
  ULONG64 IPv6SubInterfaceIndex;
  DWORD dwLcpError;
  DWORD dwAuthenticationProtocol;
  DWORD dwAuthenticationData;
  DWORD dwRemoteAuthenticationProtocol;
  DWORD dwRemoteAuthenticationData;
  DWORD dwLcpTerminateReason;
  DWORD dwLcpRemoteTerminateReason;
  DWORD dwLcpOptions;
  DWORD dwLcpRemoteOptions;
  DWORD dwEapTypeId;
  DWORD dwEmbeddedEAPTypeId;
  DWORD dwRemoteEapTypeId;
  DWORD dwCcpError;
  DWORD dwCompressionAlgorithm;
  DWORD dwCcpOptions;
  DWORD dwRemoteCompressionAlgorithm;
  DWORD dwCcpRemoteOptions;
} PPP_PROJECTION_INFO2;

typedef struct {
  DWORD dwIPv4NegotiationError;
  WCHAR wszAddress[IPADDRESSLEN + 1];
  WCHAR wszRemoteAddress[IPADDRESSLEN + 1];
  ULONG64 IPv4SubInterfaceIndex;
  DWORD dwIPv6NegotiationError;
  BYTE bInterfaceIdentifier[8];
  BYTE bRemoteInterfaceIdentifier[8];
  BYTE bPrefix[8];
  DWORD dwPrefixLength;
  ULONG64 IPv6SubInterfaceIndex;
  DWORD dwOptions;
  DWORD dwAuthenticationProtocol;
  DWORD dwEapTypeId;
  DWORD dwEmbeddedEAPTypeId;
  DWORD dwCompressionAlgorithm;
  DWORD dwEncryptionMethod;
} IKEV2_PROJECTION_INFO2;

typedef struct {
  UCHAR projectionInfoType;
  union {
    PPP_PROJECTION_INFO2 PppProjectionInfo;
    IKEV2_PROJECTION_INFO2 Ikev2ProjectionInfo;
  };
} PROJECTION_INFO2;

typedef struct {
  DWORD dwConnectDuration;
  ROUTER_INTERFACE_TYPE dwInterfaceType;
  DWORD dwConnectionFlags;
  WCHAR wszInterfaceName[MAX_INTERFACE_NAME_LEN + 1];
  WCHAR wszUserName[UNLEN + 1];
  WCHAR wszLogonDomain[DNLEN + 1];
  WCHAR wszRemoteComputer[NETBIOS_NAME_LEN + 1];
  GUID guid;
  RAS_QUARANTINE_STATE rasQuarState;
  FILETIME probationTime;
  FILETIME connectionStartTime;
  ULONG64 ullBytesXmited;
  ULONG64 ullBytesRcved;
  DWORD dwFramesXmited;
  DWORD dwFramesRcved;
  DWORD dwCrcErr;
  DWORD dwTimeoutErr;
  DWORD dwAlignmentErr;
  DWORD dwHardwareOverrunErr;
  DWORD dwFramingErr;
  DWORD dwBufferOverrunErr;
  DWORD dwCompressionRatioIn;
  DWORD dwCompressionRatioOut;
  DWORD dwNumSwitchOvers;
  WCHAR wszRemoteEndpointAddress[MAXIPADRESSLEN + 1];
  WCHAR wszLocalEndpointAddress[MAXIPADRESSLEN + 1];
  PROJECTION_INFO2 ProjectionInfo;
  HANDLE hConnection;
  HANDLE hInterface;
  DWORD dwDeviceType;
} RAS_CONNECTION_4;

DWORD APIENTRY MprAdminUpdateConnection(RAS_SERVER_HANDLE hRasServer, HANDLE hRasConnection,
                                        RAS_UPDATE_CONNECTION *pRasUpdateConnection);

#endif
