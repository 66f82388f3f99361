package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// What a member tells of itself travels in at most 512 bytes:
//
//	byte 0   form, 1
//	then     fields, each  number (1 byte) | length (1 byte) | value
//
// Integers are big-endian without leading zero bytes. A reader skips numbers it
// does not know, and a field that is longer than it knows is read as far as it
// knows, so that members of different versions understand each other. A number
// is never given a second meaning.
const metaForm = 1

// maxMeta is what gossip carries with a member.
const maxMeta = 512

const (
	fieldState = iota + 1
	fieldName
	fieldVersion
	fieldAddr
	fieldProxyPort
	fieldICPPort
	fieldAdminPort
	fieldPriority
	fieldTerm
	fieldCapacity
	fieldDigest
	fieldStarted // seconds of unix time
)

// maxName bounds names and versions, in bytes.
const maxName = 96

// card is a member's own words: its Meta with what else it says of itself.
type card struct {
	State State // Left: it is on its way out
	Name  string
	Meta
}

// encodeCard is the wire form of c.
func encodeCard(c *card) []byte {
	b := []byte{metaForm}
	b = appendInt(b, fieldState, uint64(c.State))
	b = appendText(b, fieldName, c.Name)
	b = appendText(b, fieldVersion, c.Version)
	if c.Addr.IsValid() {
		b = appendField(b, fieldAddr, c.Addr.Unmap().AsSlice())
	}
	b = appendInt(b, fieldProxyPort, uint64(c.ProxyPort))
	b = appendInt(b, fieldICPPort, uint64(c.ICPPort))
	b = appendInt(b, fieldAdminPort, uint64(c.AdminPort))
	b = appendInt(b, fieldPriority, uint64(c.Priority))
	b = appendInt(b, fieldTerm, c.Term)
	b = appendInt(b, fieldCapacity, c.Capacity)
	b = appendInt(b, fieldDigest, c.Digest)
	if !c.Started.IsZero() {
		b = appendInt(b, fieldStarted, uint64(max(c.Started.Unix(), 0)))
	}
	return b
}

func appendField(b []byte, number byte, value []byte) []byte {
	return append(append(b, number, byte(len(value))), value...)
}

func appendText(b []byte, number byte, s string) []byte {
	if s == "" {
		return b
	}
	return appendField(b, number, []byte(s[:min(len(s), maxName)]))
}

func appendInt(b []byte, number byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], n)
	i := 0
	for full[i] == 0 {
		i++
	}
	return appendField(b, number, full[i:])
}

var (
	errCardForm  = errors.New("unknown form of member data")
	errCardShort = errors.New("member data ends in the middle of a field")
)

// parseCard reads the wire form. It keeps nothing of b.
func parseCard(b []byte) (c card, err error) {
	if len(b) == 0 || b[0] != metaForm {
		return c, errCardForm
	}
	for b = b[1:]; len(b) > 0; {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return card{}, errCardShort
		}
		number, value := b[0], b[2:2+int(b[1])]
		b = b[2+len(value):]
		if err := c.set(number, value); err != nil {
			return card{}, err
		}
	}
	return c, nil
}

func (c *card) set(number byte, value []byte) error {
	switch number {
	case fieldName:
		c.Name = printable(value)
		return nil
	case fieldVersion:
		c.Version = printable(value)
		return nil
	case fieldAddr:
		addr, ok := netip.AddrFromSlice(value)
		if !ok {
			return fmt.Errorf("member data has an address of %d bytes", len(value))
		}
		c.Addr = addr.Unmap()
		return nil
	}
	if len(value) > 8 {
		return nil // not a number of ours, or one that has grown
	}
	var n uint64
	for _, x := range value {
		n = n<<8 | uint64(x)
	}
	c.setInt(number, n)
	return nil
}

func (c *card) setInt(number byte, n uint64) {
	switch number {
	case fieldState:
		c.State = State(min(n, 255))
	case fieldProxyPort:
		c.ProxyPort = port(n)
	case fieldICPPort:
		c.ICPPort = port(n)
	case fieldAdminPort:
		c.AdminPort = port(n)
	case fieldPriority:
		c.Priority = uint16(min(n, 1<<16-1))
	case fieldTerm:
		c.Term = n
	case fieldCapacity:
		c.Capacity = n
	case fieldDigest:
		c.Digest = n
	case fieldStarted:
		if n > 0 { // 0 is how no number is written
			c.Started = time.Unix(int64(min(n, 1<<40)), 0).UTC()
		}
	}
}

// port is n, or none when there is no such port.
func port(n uint64) uint16 {
	if n > 1<<16-1 {
		return 0
	}
	return uint16(n)
}

// printable keeps names from doing something to a terminal or a log.
func printable(b []byte) string {
	b = b[:min(len(b), maxName)]
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, string(b))
}
