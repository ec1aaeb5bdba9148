// Package v2 holds just enough types for the linter's reader of Grafana's v2 schema to compile. Our dashboards are
// classic ones, so it never runs; the real module has no release and is not on every Go proxy.
package v2

type DashboardVariableRefresh string

const (
	DashboardVariableRefreshOnDashboardLoad    DashboardVariableRefresh = "onDashboardLoad"
	DashboardVariableRefreshOnTimeRangeChanged DashboardVariableRefresh = "onTimeRangeChanged"
)

type name struct{ Name *string }

type DashboardDataQueryKind struct {
	Group      string
	Datasource *name
	Spec       map[string]any
}

type DashboardPanelQueryKind struct {
	Spec struct {
		RefId  string
		Hidden bool
		Query  DashboardDataQueryKind
	}
}

type DashboardPanelSpec struct {
	Id                 float64
	Title, Description string
	VizConfig          struct {
		Group string
		Spec  struct{ FieldConfig, Options any }
	}
	Data struct {
		Spec struct{ Queries []DashboardPanelQueryKind }
	}
}

type DashboardElement struct{ PanelKind *struct{ Spec DashboardPanelSpec } }

type DashboardAnnotationQueryKind struct {
	Spec struct {
		Name  string
		Query DashboardDataQueryKind
	}
}

type named struct {
	Name            string
	Label, AllValue *string
	Multi           bool
	Refresh         DashboardVariableRefresh
}

type queryKind struct {
	Spec struct {
		named
		Query DashboardDataQueryKind
	}
}

type textKind struct {
	Spec struct {
		named
		Query, PluginId string
	}
}

type DashboardVariableKind struct {
	QueryVariableKind      *queryKind
	DatasourceVariableKind *textKind
	CustomVariableKind     *textKind
	IntervalVariableKind   *textKind
	ConstantVariableKind   *textKind
	TextVariableKind       *textKind
	AdhocVariableKind      *textKind
	GroupByVariableKind    *textKind
	SwitchVariableKind     *textKind
}

type DashboardSpec struct {
	Title       string
	Editable    *bool
	Elements    map[string]DashboardElement
	Variables   []DashboardVariableKind
	Annotations []DashboardAnnotationQueryKind
}
