// Package bench will be the load tool: workloads, the load loop and its report.
// It will know a proxy only from outside. Not built yet.
package bench
