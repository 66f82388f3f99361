package upstream

import "crypto/tls"

// tlsVersions are the values of tls.min_version.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
