{{- define "hutong-agent.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "hutong-agent.selector" -}}
app.kubernetes.io/name: hutong-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hutong-agent.labels" -}}
{{ include "hutong-agent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hutong-agent.claim" -}}
{{ .Values.attempts.existingClaim | default (printf "%s-attempts" (include "hutong-agent.name" .)) }}
{{- end }}
