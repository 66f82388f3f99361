package plot

import (
	"html/template"
	"strconv"
)

// Bars is a plot of named amounts, each a bar of one or more parts.
type Bars struct {
	ID     string // of the element; unique within a page
	Title  string
	Parts  []string // their names
	Rows   []Row
	Format func(float64) string // of the amounts; nil: plain numbers
}

// Row is one bar.
type Row struct {
	Name   string
	Values []float64 // one for each part
}

func (r *Row) sum() (total float64) {
	for _, v := range r.Values {
		total += v
	}
	return total
}

// SVG draws the plot.
func (b *Bars) SVG() template.HTML {
	const rowHeight, nameWidth, sumWidth = 26.0, 150.0, 120.0
	format := (&Axis{Format: b.Format}).format
	longest := 0.0
	for _, r := range b.Rows {
		longest = max(longest, r.sum())
	}
	d := open(b.ID, b.Title, width, rowHeight*float64(len(b.Rows))+8)
	for i, r := range b.Rows {
		y := 4 + rowHeight*float64(i)
		d.text(nameWidth-8, y+17, "end", shorten(r.Name))
		at := nameWidth
		for k, v := range r.Values {
			w := 0.0
			if longest > 0 {
				w = v / longest * (width - nameWidth - sumWidth)
			}
			d.start("rect", "class", "bar "+colour(k), "x", num(at), "y", num(y+3), "width", num(w), "height", num(rowHeight-6))
			d.leaf("title", r.Name+", "+b.part(k)+": "+format(v))
			d.end("rect")
			at += w
		}
		d.text(at+6, y+17, "start", format(r.sum()))
	}
	d.end("svg")
	if len(b.Parts) < 2 {
		return d.html()
	}
	names := make([]Series, len(b.Parts))
	for i, p := range b.Parts {
		names[i].Name = p
	}
	return legend(names) + d.html()
}

func (b *Bars) part(i int) string {
	if i < len(b.Parts) {
		return b.Parts[i]
	}
	return strconv.Itoa(i + 1)
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 20 {
		return string(r[:19]) + "…"
	}
	return s
}
