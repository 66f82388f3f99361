//go:build !race

package scenario

// raceFlag builds the binary the way this test was built.
const raceFlag = ""
