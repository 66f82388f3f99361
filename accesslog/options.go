package accesslog

import (
	"errors"
	"fmt"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of the access log.
type Options struct {
	// Path is the file that gets one line per request; "-" is standard output, and empty switches the log off.
	Path string `yaml:"path"`
	// Format is the line format: squid (the native format that log tools expect), common, combined or json.
	Format Format `yaml:"format"`
	// StripQuery leaves the query part of URLs out of the log, because it may carry private data; a "?" shows that there was one.
	StripQuery bool `yaml:"strip_query"`
	// ICP also writes a line for each ICP query of a sibling that was answered, with the results UDP_HIT, UDP_MISS, UDP_DENIED, UDP_MISS_NOFETCH and UDP_INVALID.
	ICP bool `yaml:"icp"`
	// RotateSize is the size in bytes at which the file is renamed to FILE.1 and begun anew; 0 leaves rotation to another program, which then sends SIGUSR1. It does not apply to standard output.
	RotateSize units.Size `yaml:"rotate_size"`
	// RotateKeep is how many renamed files are kept: FILE.1 is the newest.
	RotateKeep int `yaml:"rotate_keep"`
}

// DefaultOptions returns the defaults: no log; once there is a path, squid's
// format, with at most 5 GiB on disk.
func DefaultOptions() Options {
	return Options{Format: FormatSquid, RotateSize: units.GiB, RotateKeep: 4}
}

// maxKeep bounds the renames of one rotation.
const maxKeep = 1000

// Validate reports everything that is wrong with o; each error names its key
// below "access_log".
func (o Options) Validate() error {
	var errs []error
	if int(o.Format) >= len(formatNames) {
		errs = append(errs, fmt.Errorf("access_log.format: unknown format %d", o.Format))
	}
	if o.RotateSize != 0 && o.RotateSize < 64*units.KiB {
		errs = append(errs, fmt.Errorf("access_log.rotate_size: %s is too small: want 0 (off) or at least 64KiB", o.RotateSize))
	}
	if o.RotateKeep < 0 || o.RotateKeep > maxKeep || o.RotateKeep == 0 && o.RotateSize != 0 {
		errs = append(errs, fmt.Errorf("access_log.rotate_keep: %d is out of range: want 1 to %d", o.RotateKeep, maxKeep))
	}
	return errors.Join(errs...)
}
