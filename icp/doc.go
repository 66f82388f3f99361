// Package icp will speak ICP version 2 (RFC 2186): its datagrams, a server that
// answers siblings and a client that asks them. It will know neither HTTP nor
// membership. Not built yet.
package icp
