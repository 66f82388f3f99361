// Package failover holds no code, only tests of whole clusters: hosts made of
// network namespaces on one switch, on each the real binary, clients that are
// curl and a prober, and what may happen to machines, cables and processes. As a
// test it asks for states only; told to measure, it writes the tables of
// docs/failover.md. What the election does alone is tested in election/onlink.
package failover
