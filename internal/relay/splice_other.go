//go:build !linux

package relay

// splice can do nothing here; the bytes are copied.
func (d *direction) splice() (end bool, err error) { return false, nil }
