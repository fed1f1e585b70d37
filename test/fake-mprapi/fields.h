/* Every field of the structures, once: X(structure, kind, name). NUM is a little-endian number of the field's own
   size, TEXT an array of WCHAR, RAW an array of bytes. Nested structures stand in NESTED. */
#ifndef FAKE_MPRAPI_FIELDS_H
#define FAKE_MPRAPI_FIELDS_H

#define FIELDS_MPRAPI_OBJECT_HEADER(X, T) X(T, NUM, revision) X(T, NUM, type) X(T, NUM, size)

#define FIELDS_PROJECTION_IPV4(X, T) \
  X(T, NUM, dwIPv4NegotiationError) X(T, TEXT, wszAddress) X(T, TEXT, wszRemoteAddress)
#define FIELDS_PROJECTION_IPV6(X, T) \
  X(T, NUM, IPv4SubInterfaceIndex) X(T, NUM, dwIPv6NegotiationError) X(T, RAW, bInterfaceIdentifier) \
  X(T, RAW, bRemoteInterfaceIdentifier) X(T, RAW, bPrefix) X(T, NUM, dwPrefixLength) X(T, NUM, IPv6SubInterfaceIndex)
#define FIELDS_PPP_PROJECTION_INFO(X, T) \
  FIELDS_PROJECTION_IPV4(X, T) X(T, NUM, dwIPv4Options) X(T, NUM, dwIPv4RemoteOptions) FIELDS_PROJECTION_IPV6(X, T) \
  X(T, NUM, dwLcpError) X(T, NUM, dwAuthenticationProtocol) X(T, NUM, dwAuthenticationData) \
  X(T, NUM, dwRemoteAuthenticationProtocol) X(T, NUM, dwRemoteAuthenticationData) X(T, NUM, dwLcpTerminateReason) \
  X(T, NUM, dwLcpRemoteTerminateReason) X(T, NUM, dwLcpOptions) X(T, NUM, dwLcpRemoteOptions) X(T, NUM, dwEapTypeId) \
  X(T, NUM, dwRemoteEapTypeId) X(T, NUM, dwCcpError) X(T, NUM, dwCompressionAlgorithm) X(T, NUM, dwCcpOptions) \
  X(T, NUM, dwRemoteCompressionAlgorithm) X(T, NUM, dwCcpRemoteOptions)
#define FIELDS_PPP_PROJECTION_INFO2(X, T) FIELDS_PPP_PROJECTION_INFO(X, T) X(T, NUM, dwEmbeddedEAPTypeId)
#define FIELDS_IKEV2_PROJECTION_INFO(X, T) \
  FIELDS_PROJECTION_IPV4(X, T) FIELDS_PROJECTION_IPV6(X, T) X(T, NUM, dwOptions) X(T, NUM, dwAuthenticationProtocol) \
  X(T, NUM, dwEapTypeId) X(T, NUM, dwCompressionAlgorithm) X(T, NUM, dwEncryptionMethod)
#define FIELDS_IKEV2_PROJECTION_INFO2(X, T) FIELDS_IKEV2_PROJECTION_INFO(X, T) X(T, NUM, dwEmbeddedEAPTypeId)
#define FIELDS_PROJECTION_INFO(X, T) X(T, NUM, projectionInfoType)

#define FIELDS_CONNECTION(X, T) \
  X(T, NUM, dwConnectDuration) X(T, NUM, dwInterfaceType) X(T, NUM, dwConnectionFlags) X(T, TEXT, wszInterfaceName) \
  X(T, TEXT, wszUserName) X(T, TEXT, wszLogonDomain) X(T, TEXT, wszRemoteComputer) X(T, RAW, guid) \
  X(T, NUM, rasQuarState) X(T, NUM, probationTime) X(T, NUM, dwFramesXmited) X(T, NUM, dwFramesRcved) \
  X(T, NUM, dwCrcErr) X(T, NUM, dwTimeoutErr) X(T, NUM, dwAlignmentErr) X(T, NUM, dwHardwareOverrunErr) \
  X(T, NUM, dwFramingErr) X(T, NUM, dwBufferOverrunErr) X(T, NUM, dwCompressionRatioIn) \
  X(T, NUM, dwCompressionRatioOut) X(T, NUM, dwNumSwitchOvers) X(T, TEXT, wszRemoteEndpointAddress) \
  X(T, TEXT, wszLocalEndpointAddress) X(T, NUM, hConnection) X(T, NUM, hInterface)
#define FIELDS_RAS_CONNECTION_EX(X, T) FIELDS_CONNECTION(X, T) X(T, NUM, dwBytesXmited) X(T, NUM, dwBytesRcved)
#define FIELDS_RAS_CONNECTION_4(X, T) \
  FIELDS_CONNECTION(X, T) X(T, NUM, connectionStartTime) X(T, NUM, ullBytesXmited) X(T, NUM, ullBytesRcved) \
  X(T, NUM, dwDeviceType)

#define FIELDS_RAS_UPDATE_CONNECTION(X, T) \
  X(T, NUM, dwIfIndex) X(T, TEXT, wszLocalEndpointAddress) X(T, TEXT, wszRemoteEndpointAddress)

#define FIELDS_MPR_INTERFACE_0(X, T) \
  X(T, TEXT, wszInterfaceName) X(T, NUM, hInterface) X(T, NUM, fEnabled) X(T, NUM, dwIfType) \
  X(T, NUM, dwConnectionState) X(T, NUM, fUnReachabilityReasons) X(T, NUM, dwLastError)
#define FIELDS_MPR_INTERFACE_2(X, T) \
  FIELDS_MPR_INTERFACE_0(X, T) X(T, NUM, dwfOptions) X(T, TEXT, szLocalPhoneNumber) X(T, NUM, szAlternates) \
  X(T, NUM, ipaddr) X(T, NUM, ipaddrDns) X(T, NUM, ipaddrDnsAlt) X(T, NUM, ipaddrWins) X(T, NUM, ipaddrWinsAlt) \
  X(T, NUM, dwfNetProtocols) X(T, TEXT, szDeviceType) X(T, TEXT, szDeviceName) X(T, TEXT, szX25PadType) \
  X(T, TEXT, szX25Address) X(T, TEXT, szX25Facilities) X(T, TEXT, szX25UserData) X(T, NUM, dwChannels) \
  X(T, NUM, dwSubEntries) X(T, NUM, dwDialMode) X(T, NUM, dwDialExtraPercent) X(T, NUM, dwDialExtraSampleSeconds) \
  X(T, NUM, dwHangUpExtraPercent) X(T, NUM, dwHangUpExtraSampleSeconds) X(T, NUM, dwIdleDisconnectSeconds) \
  X(T, NUM, dwType) X(T, NUM, dwEncryptionType) X(T, NUM, dwCustomAuthKey) X(T, NUM, dwCustomAuthDataSize) \
  X(T, NUM, lpbCustomAuthData) X(T, RAW, guidId) X(T, NUM, dwVpnStrategy)

#define FIELDS_RAS_PORT_0(X, T) \
  X(T, NUM, hPort) X(T, NUM, hConnection) X(T, NUM, dwPortCondition) X(T, NUM, dwTotalNumberOfCalls) \
  X(T, NUM, dwConnectDuration) X(T, TEXT, wszPortName) X(T, TEXT, wszMediaName) X(T, TEXT, wszDeviceName) \
  X(T, TEXT, wszDeviceType)

#define FIELDS_MPR_SERVER_0(X, T) \
  X(T, NUM, fLanOnlyMode) X(T, NUM, dwUpTime) X(T, NUM, dwTotalPorts) X(T, NUM, dwPortsInUse)

/* N(structure, member, type of the member) */
#define NESTED(N) \
  N(PROJECTION_INFO, PppProjectionInfo, PPP_PROJECTION_INFO) \
  N(PROJECTION_INFO, Ikev2ProjectionInfo, IKEV2_PROJECTION_INFO) \
  N(RAS_CONNECTION_EX, Header, MPRAPI_OBJECT_HEADER) \
  N(RAS_CONNECTION_EX, ProjectionInfo, PROJECTION_INFO) \
  N(RAS_UPDATE_CONNECTION, Header, MPRAPI_OBJECT_HEADER)
#define NESTED_OWN(N) \
  N(PROJECTION_INFO2, PppProjectionInfo, PPP_PROJECTION_INFO2) \
  N(PROJECTION_INFO2, Ikev2ProjectionInfo, IKEV2_PROJECTION_INFO2) \
  N(RAS_CONNECTION_4, ProjectionInfo, PROJECTION_INFO2)

#endif
