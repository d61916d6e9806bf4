{{- define "ebbtide.name" -}}
{{- if contains "ebbtide" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-ebbtide" .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "ebbtide.labels" -}}
app.kubernetes.io/name: ebbtide
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "ebbtide.selector" -}}
app.kubernetes.io/name: ebbtide
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ebbtide.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "ebbtide.secret" -}}
{{ .Values.token.existingSecret | default (include "ebbtide.name" .) }}
{{- end -}}

{{- define "ebbtide.serverId" -}}
{{ .Values.serverId | default (printf "%s.%s" .Release.Namespace .Release.Name) }}
{{- end -}}

{{/* Where the mount that engine and server share is, in both. The server's folder is below it: it wants to own it. */}}
{{- define "ebbtide.runMount" -}}
{{ if eq .Values.engine.mode "node" }}{{ .Values.engine.node.runDir }}{{ else }}/run/ebbtide{{ end }}
{{- end -}}

{{- define "ebbtide.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "ebbtide.podSecurity" -}}
runAsUser: 8160
runAsGroup: 8160
fsGroup: 8160
{{- if eq .Values.engine.mode "node" }}
supplementalGroups: [{{ .Values.engine.node.socketGroup }}]
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}
