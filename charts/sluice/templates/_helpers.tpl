{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "sluice" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-sluice" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sluice.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "sluice.fullname" .) -}}
{{- end -}}

{{- define "sluice.leaseName" -}}
{{- include "sluice.fullname" . -}}-operator
{{- end -}}

{{- /* Whether rights in the whole cluster may be granted; empty: no. */ -}}
{{- define "sluice.clusterRoles" -}}
{{- if ne (toString (.Values.rbac).clusterRoles) "false" }}true{{ end -}}
{{- end -}}

{{- /* Whether this release makes what is in no namespace and has one name for all; empty: no. */ -}}
{{- define "sluice.shared" -}}
{{- if ne (toString .Values.sharedObjects) "false" }}true{{ end -}}
{{- end -}}

{{- /* Where an admission policy applies: in the namespaces that are watched. */ -}}
{{- define "sluice.watchedResources" -}}
{{- with .Values.config.watchNamespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end -}}

{{- define "sluice.selectorLabels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sluice
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* Not those of the operator, whose Deployment and Services would take the page's pods for its own. */ -}}
{{- define "sluice.dashboardSelectorLabels" -}}
app.kubernetes.io/name: sluice-dashboard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.dashboardLabels" -}}
{{ include "sluice.dashboardSelectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sluice
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* Matchers of the operator's own series, which alerts and boards ask for in place of charts/series.py's OPERATOR. */ -}}
{{- define "sluice.operatorSeries" -}}
{{- $labels := dict "job" .Release.Name "namespace" .Release.Namespace -}}
{{- include "sluice.matchers" (.Values.monitoring.series | default $labels) -}}
{{- end -}}

{{- /* Those of the gateway's, in place of GATEWAY; as core/sluice_core/adapters/gateways.py says them. */ -}}
{{- define "sluice.gatewaySeries" -}}
{{- $quickstart := and (eq .Values.config.gatewayPreset "contour") (eq .Values.config.gateway.name "models")
      (eq .Values.config.gateway.namespace "gateway") (eq .Values.config.prometheusUrl "http://prometheus.monitoring:9090") -}}
{{- $labels := ternary (dict "namespace" "projectcontour") dict $quickstart -}}
{{- if ne (toString .Values.config.gatewaySeries) "<nil>" -}}
{{- $labels = .Values.config.gatewaySeries -}}
{{- end -}}
{{- include "sluice.matchers" $labels | default "job=~\".+\"" -}}
{{- end -}}

{{- define "sluice.matchers" -}}
{{- $matchers := list -}}
{{- range $name, $value := . -}}
{{- $matchers = append $matchers (printf "%s=%s" $name (quote $value)) -}}
{{- end -}}
{{- join "," $matchers -}}
{{- end -}}

{{- /* Text as it stands in a string of JSON. */ -}}
{{- define "sluice.inJson" -}}
{{- . | mustToRawJson | trimPrefix "\"" | trimSuffix "\"" -}}
{{- end -}}

{{- /* Values of an older chart do not have dashboard.image. */ -}}
{{- define "sluice.dashboardImage" -}}
{{- $image := .Values.dashboard.image | default dict -}}
{{- $image.repository | default (regexReplaceAll "[^/]+$" .Values.image.repository "sluice-dashboard") -}}
{{- with $image.digest }}@{{ . }}{{ else }}:{{ $image.tag | default .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "sluice.dashboardConfig" -}}
{{ pick .Values.dashboard "url" "tokenHeader" "docsUrl" "links" | toYaml }}
{{- end -}}

{{- /* What is in namespaces: rules of a ClusterRole, or of a Role in each namespace that is watched. Every one is
       used, which tests/integration/operator/test_rights.py checks; docs/hardening.md says for what. */ -}}
{{- define "sluice.rules" -}}
# The API: users write ModelDeployments and BatchInferences, the operator only their status.
- apiGroups: [sluice.dev]
  resources: [modeldeployments, batchinferences]
  verbs: [list, watch]
- apiGroups: [sluice.dev]
  resources: [modelrollouts]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [sluice.dev]
  resources: [modeldeployments/status, modelrollouts/status, batchinferences/status]
  verbs: [patch]
# Children.
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  # Delete: who changes the owner of an object needs it, where the API server guards owners.
  verbs: [list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
{{- if ne (toString (.Values.config.engines).keda) "false" }}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list, watch, create, patch, delete]
{{- end }}
{{- if ne (toString (.Values.config.engines).sparkOperator) "false" }}
- apiGroups: [sparkoperator.k8s.io]
  resources: [sparkapplications]
  verbs: [list, watch, create, patch, delete]
{{- end }}
# What is observed.
- apiGroups: [""]
  resources: [pods]
  # Delete: to replace the one pod that makes its version fail.
  verbs: [list, watch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  # List: what its predecessor has told is not told again.
  verbs: [list, create]
{{- end -}}

{{- /* What the baseline Pod Security Standard lets a container add, and what locks memory for devices. */ -}}
{{- define "sluice.capabilities" -}}
{{- list "AUDIT_WRITE" "CHOWN" "DAC_OVERRIDE" "FOWNER" "FSETID" "IPC_LOCK" "KILL" "MKNOD" "NET_BIND_SERVICE" "SETFCAP" "SETGID" "SETPCAP" "SETUID" "SYS_CHROOT" | toJson -}}
{{- end -}}
