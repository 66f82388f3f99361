package sibling

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// A digest on the wire is a snapshot, the whole filter, or a delta, the sums that
// were added to it since. Integers are little-endian:
//
//	 0  4  "CND1"
//	 4  1  kind: 1 snapshot, 2 delta
//	 5  1  bits set for each key
//	 6  2  zero
//	 8  4  epoch: names the snapshot
//	12  4  count: how many sums were added to the snapshot by now
//	16  4  from: of a delta, the count before it; of a snapshot zero
//	20  4  number of words that follow
//	24  8n words of the filter, or sums
//	 .  8  xxh3 of all before
//
// Epoch and count together are the version.
const (
	digestMagic  = "CND1"
	digestHeader = 24
	kindSnapshot = 1
	kindDelta    = 2
)

// update is a digest from the wire.
type update struct {
	kind               byte
	epoch, count, from uint32
	words              []uint64
}

func (u *update) version() uint64 { return versionOf(u.epoch, u.count) }

func versionOf(epoch, count uint32) uint64 { return uint64(epoch)<<32 | uint64(count) }

// What is wrong with a digest.
var (
	errDigest     = errors.New("not a digest that this version understands")
	errDigestSum  = errors.New("digest with a wrong checksum")
	errDigestSize = errors.New("digest larger than siblings.digest_memory")
	errDigestFull = errors.New("digest that claims to have everything")
)

// writeTo writes the wire form. The words may be those of a filter in use.
func (u *update) writeTo(w io.Writer) error {
	sum := xxh3.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 32<<10)
	b := append(make([]byte, 0, digestHeader), digestMagic...)
	b = append(b, u.kind, hashes, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, u.epoch)
	b = binary.LittleEndian.AppendUint32(b, u.count)
	b = binary.LittleEndian.AppendUint32(b, u.from)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(u.words)))
	if _, err := out.Write(b); err != nil {
		return err
	}
	for i := range u.words {
		b = binary.LittleEndian.AppendUint64(b[:0], atomic.LoadUint64(&u.words[i]))
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint64(b[:0], sum.Sum64()))
	return err
}

// size is the length of the wire form.
func (u *update) size() int { return digestHeader + 8*len(u.words) + 8 }

// readUpdate reads the wire form. It takes no more memory than limit, and no
// more than has arrived.
func readUpdate(r io.Reader, limit int) (update, error) {
	sum := xxh3.New()
	in := io.TeeReader(r, sum)
	var head [digestHeader]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return update{}, err
	}
	u := update{
		kind: head[4], epoch: binary.LittleEndian.Uint32(head[8:]), count: binary.LittleEndian.Uint32(head[12:]),
		from: binary.LittleEndian.Uint32(head[16:]),
	}
	n := int64(binary.LittleEndian.Uint32(head[20:]))
	switch {
	case string(head[:4]) != digestMagic, head[5] != hashes, u.kind != kindSnapshot && u.kind != kindDelta,
		u.kind == kindSnapshot && n == 0, u.from > u.count, u.kind == kindDelta && n != int64(u.count-u.from):
		return update{}, errDigest
	case 8*n > int64(limit):
		return update{}, errDigestSize
	}
	buf := make([]byte, min(8*n, 32<<10))
	for left := int(8 * n); left > 0; {
		part := buf[:min(left, len(buf))]
		if _, err := io.ReadFull(in, part); err != nil {
			return update{}, err
		}
		left -= len(part)
		for ; len(part) > 0; part = part[8:] {
			u.words = append(u.words, binary.LittleEndian.Uint64(part))
		}
	}
	want := sum.Sum64()
	if _, err := io.ReadFull(r, head[:8]); err != nil {
		return update{}, err
	}
	if binary.LittleEndian.Uint64(head[:8]) != want {
		return update{}, errDigestSum
	}
	return u, u.plausible()
}

// plausible refuses a filter that says yes to nearly everything, which an honest
// one never does: every miss would ask its node.
func (u *update) plausible() error {
	if u.kind != kindSnapshot {
		return nil
	}
	set := 0
	for _, w := range u.words {
		set += bits.OnesCount64(w)
	}
	if set > len(u.words)*64/10*8 {
		return errDigestFull
	}
	return nil
}
