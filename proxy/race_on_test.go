//go:build race

package proxy

// raceDetector says that the race detector is on, which drops what is pooled.
const raceDetector = true
