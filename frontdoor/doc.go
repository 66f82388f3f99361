// Package frontdoor accepts connections on the virtual IP, picks a node for each
// and moves the bytes. It does not read them: a PROXY header in front tells the
// node who the client is. Connections for the own node are handed over inside
// the process. Who is a node, and how much it can take, it is told.
package frontdoor
