package plot

import (
	"html/template"
	"math"
)

// Line is a plot of one or more series over a common x axis.
type Line struct {
	ID     string // of the element; unique within a page
	Title  string
	X, Y   Axis
	Series []Series
	Marks  []Mark
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point
	Bars   bool // drawn as bars from the lower end
}

// Point is one value. A NaN interrupts the line.
type Point struct{ X, Y float64 }

// Mark is a vertical line with a word on it.
type Mark struct {
	X    float64
	Name string
}

// The geometry, in units of the view box.
const (
	width, height            = 720.0, 300.0
	left, right, top, bottom = 78.0, 28.0, 14.0, 46.0
	palette                  = 8   // colours of the style sheet
	markers                  = 120 // more points than this are drawn without marks of their own
)

// SVG draws the plot. Every point has a text of its values for pointers and
// screen readers.
func (l *Line) SVG() template.HTML {
	x, y := l.axes()
	d := open(l.ID, l.Title, width, height)
	l.grid(d, &x, &y)
	for _, m := range l.Marks {
		at := px(&x, m.X)
		d.el("line", "class", "mark", "x1", num(at), "x2", num(at), "y1", num(top), "y2", num(height-bottom))
		d.text(at+4, top+10, "start", m.Name)
	}
	for i, s := range l.Series {
		if s.Bars {
			drawBars(d, s, i, &x, &y)
		} else {
			drawLine(d, s, i, &x, &y)
		}
	}
	d.end("svg")
	return legend(l.Series) + d.html()
}

func (l *Line) axes() (x, y span) {
	var xs, ys []float64
	for _, s := range l.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	x, y = l.X.fit(xs, math.Inf(1)), l.Y.fit(ys, 0)
	if l.X.Scale == Linear && l.X.Min == 0 && l.X.Max == 0 {
		if _, hi := bounds(xs, false); hi > x.lo {
			x.hi = hi // time needs no air at its end
		}
	}
	return x, y
}

func px(x *span, v float64) float64 { return left + x.at(v)*(width-left-right) }
func py(y *span, v float64) float64 { return height - bottom - y.at(v)*(height-top-bottom) }

func (l *Line) grid(d *doc, x, y *span) {
	for _, v := range y.ticks() {
		at := py(y, v)
		d.el("line", "class", "grid", "x1", num(left), "x2", num(width-right), "y1", num(at), "y2", num(at))
		d.text(left-6, at+4, "end", y.format(v))
	}
	for _, v := range x.ticks() {
		at := px(x, v)
		d.el("line", "class", "grid", "x1", num(at), "x2", num(at), "y1", num(top), "y2", num(height-bottom))
		d.text(at, height-bottom+16, "middle", x.format(v))
	}
	d.text(left+(width-left-right)/2, height-8, "middle", x.Label)
	d.start("g", "transform", "rotate(-90 14 "+num(height/2)+")")
	d.text(14, height/2, "middle", y.Label)
	d.end("g")
}

func drawLine(d *doc, s Series, i int, x, y *span) {
	d.start("g", "class", "series "+colour(i), "data-series", s.Name, "data-points", itoa(len(s.Points)))
	path, pen := "", "M"
	for _, p := range s.Points {
		if math.IsNaN(p.Y) {
			pen = "M"
			continue
		}
		path += pen + num(px(x, p.X)) + " " + num(py(y, p.Y))
		pen = "L"
	}
	d.el("path", "class", "line", "d", path)
	for _, p := range s.Points {
		if math.IsNaN(p.Y) {
			continue
		}
		class := "point"
		if len(s.Points) > markers {
			class = "point bare"
		}
		d.start("circle", "class", class, "cx", num(px(x, p.X)), "cy", num(py(y, p.Y)), "r", "3")
		d.leaf("title", s.Name+": "+y.format(p.Y)+" at "+x.format(p.X))
		d.end("circle")
	}
	d.end("g")
}

func drawBars(d *doc, s Series, i int, x, y *span) {
	d.start("g", "class", "series "+colour(i), "data-series", s.Name, "data-points", itoa(len(s.Points)))
	thick := max((width-left-right)/float64(max(len(s.Points), 1))*0.8, 1)
	for _, p := range s.Points {
		at, low, from := py(y, p.Y), height-bottom, max(px(x, p.X)-thick/2, left)
		to := min(px(x, p.X)+thick/2, width-right)
		d.start("rect", "class", "bar", "x", num(from), "y", num(at), "width", num(max(to-from, 1)), "height", num(max(low-at, 0)))
		d.leaf("title", s.Name+": "+y.format(p.Y)+" at "+x.format(p.X))
		d.end("rect")
	}
	d.end("g")
}
