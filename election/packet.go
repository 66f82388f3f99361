package election

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
)

// A Packet on the wire, numbers big-endian:
//
//	 0  4  "CNV1"
//	 4  1  kind
//	 5  1  length of the sender's ID
//	 6  1  length of the subject's ID
//	 7  1  flags: 1 Alone, 2 Forwards, 4 Stays
//	 8  8  term
//	16  8  sequence
//	24  8  echo
//	32  6  MAC address of the sender's interface
//	38  n  sender, subject
//	    32 HMAC-SHA256 of all before it

// Kind is what a Packet says.
type Kind uint8

// The kinds of packets.
const (
	Beat     Kind = iota + 1 // the sender holds the address in Term; Subject is empty
	Ack                      // answers a Beat: heard
	Stale                    // answers a Beat or Ask: Subject holds the address in Term, or did
	Ask                      // the sender would take the address in Term
	Grant                    // answers an Ask: nothing against it
	Refusal                  // answers an Ask: Subject holds it, or was granted Term before
	Release                  // the sender lets go of the address it held in Term
	Offer                    // the holder wants Subject to take the address over from it
	Linger                   // the sender does not hold the address, but has connections of the time when it did, in Term
	Waive                    // the sender gives back the votes that it was granted in Term
	lastKind = Waive
)

var kindNames = [...]string{Beat: "beat", Ack: "ack", Stale: "stale", Ask: "ask", Grant: "grant", Refusal: "refusal", Release: "release", Offer: "offer", Linger: "linger", Waive: "waive"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return "unknown"
}

// Packet is a datagram between members.
type Packet struct {
	Kind     Kind
	Term     uint64
	Sequence uint64 // of this sender, growing
	Echo     uint64 // Sequence of the packet that this one answers; 0: of none
	Sender   string // ID
	Subject  string // ID; what it means depends on Kind
	MAC      [6]byte
	// Alone says that the sender of a Beat hears nobody.
	Alone bool
	// Forwards says that the sender can send packets of connections that it does
	// not have on to the member that has them.
	Forwards bool
	// Stays says that the sender of an Offer is going to linger.
	Stays bool
}

// flags are the places of what is true or false.
func (p *Packet) flags() []*bool { return []*bool{&p.Alone, &p.Forwards, &p.Stays} }

const (
	magic      = "CNV1"
	headLength = 38
	tagLength  = sha256.Size
	// MaxID is the longest ID that fits in a packet, in bytes.
	MaxID = 255
	// MaxPacket is the longest packet, in bytes.
	MaxPacket = headLength + 2*MaxID + tagLength
)

// Key authenticates packets.
type Key []byte

// DeriveKey makes the key of the packets of a cluster from the secret of the
// cluster, so that this use of the secret says nothing about others.
func DeriveKey(secret []byte, cluster string) (Key, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "cachenode virtual ip 1\x00"+cluster, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

// Append appends the packet with its authentication to b. The IDs must not be
// longer than MaxID.
func (p *Packet) Append(b []byte, key Key) []byte {
	start := len(b)
	var flags byte
	for i, set := range p.flags() {
		if *set {
			flags |= 1 << i
		}
	}
	b = append(b, magic...)
	b = append(b, byte(p.Kind), byte(len(p.Sender)), byte(len(p.Subject)), flags)
	b = binary.BigEndian.AppendUint64(b, p.Term)
	b = binary.BigEndian.AppendUint64(b, p.Sequence)
	b = binary.BigEndian.AppendUint64(b, p.Echo)
	b = append(b, p.MAC[:]...)
	b = append(b, p.Sender...)
	b = append(b, p.Subject...)
	return append(b, key.tag(b[start:])...)
}

func (k Key) tag(b []byte) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write(b)
	return mac.Sum(nil)
}

// What is wrong with a packet.
var (
	ErrForeign = errors.New("not a packet of ours")
	ErrForged  = errors.New("not from a member: its authentication is wrong")
)

// Parse reads a packet, which it does not keep. Whatever is not exactly what a
// member with one of the keys sent is an error.
func Parse(b []byte, keys ...Key) (Packet, error) {
	if len(b) < headLength+tagLength || string(b[:4]) != magic {
		return Packet{}, ErrForeign
	}
	body, tag := b[:len(b)-tagLength], b[len(b)-tagLength:]
	if !slices.ContainsFunc(keys, func(k Key) bool { return hmac.Equal(k.tag(body), tag) }) {
		return Packet{}, ErrForged
	}
	sender, subject := int(body[5]), int(body[6])
	if len(body) != headLength+sender+subject || sender == 0 || body[7] > 7 {
		return Packet{}, fmt.Errorf("%w: lengths or flags do not fit", ErrForeign)
	}
	p := Packet{
		Kind:     Kind(body[4]),
		Term:     binary.BigEndian.Uint64(body[8:]),
		Sequence: binary.BigEndian.Uint64(body[16:]),
		Echo:     binary.BigEndian.Uint64(body[24:]),
		MAC:      [6]byte(body[32:38]),
		Sender:   string(body[headLength : headLength+sender]),
		Subject:  string(body[headLength+sender:]),
	}
	for i, set := range p.flags() {
		*set = body[7]&(1<<i) != 0
	}
	if p.Kind == 0 || p.Kind > lastKind {
		return Packet{}, fmt.Errorf("%w: kind %d", ErrForeign, p.Kind)
	}
	return p, nil
}

// hardware is a MAC address for a packet; one of another length is left out.
func hardware(mac net.HardwareAddr) (m [6]byte) {
	if len(mac) == len(m) {
		copy(m[:], mac)
	}
	return m
}
