{{- define "penstock.name" -}}
{{- default "penstock" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "penstock.fullname" -}}
{{- $name := include "penstock.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of what belongs to no namespace: two releases of one name must not meet. */}}
{{- define "penstock.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "penstock.fullname" .) -}}
{{- end -}}

{{- define "penstock.selectorLabels" -}}
app.kubernetes.io/name: {{ include "penstock.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "penstock.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "penstock.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "penstock.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "penstock.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "penstock.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "penstock.config" -}}
{{- tpl (toYaml .Values.config) . -}}
{{- end -}}

{{/* The last digits of config.admin; the schema sees to it that they are a port. */}}
{{- define "penstock.port" -}}
{{- regexFind "[0-9]+$" .Values.config.admin -}}
{{- end -}}

{{/* "true" where the kernel is asked, empty where the files are enough. */}}
{{- define "penstock.captures" -}}
{{- if ne .Values.config.capture "file" -}}true{{- end -}}
{{- end -}}

{{/* Beside log_dir, as the kubelet has it and the agent looks for it. */}}
{{- define "penstock.linkDir" -}}
{{ dir .Values.config.log_dir }}/containers
{{- end -}}

{{/* "true" where the pods come from the Kubernetes API. */}}
{{- define "penstock.asksApi" -}}
{{- if not (dig "discovery" "static" "" .Values.config) -}}true{{- end -}}
{{- end -}}

{{- define "penstock.securityContext" -}}
runAsUser: 0
readOnlyRootFilesystem: true
{{- if and (include "penstock.captures" .) (not .Values.leastPrivilege) }}
privileged: true
{{- else }}
privileged: false
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
  {{- if or (include "penstock.captures" .) .Values.leastPrivilegeExtra }}
  add:
    {{- if include "penstock.captures" . }}
    # Programs, maps and where they are attached.
    - BPF
    - PERFMON
    # /proc/PID/fd of others: which process holds which pipe.
    - SYS_PTRACE
    - DAC_READ_SEARCH
    {{- end }}
    {{- range .Values.leastPrivilegeExtra }}
    - {{ . }}
    {{- end }}
  {{- end }}
{{- if include "penstock.captures" . }}
# Older runtimes' default profile (containerd until late 1.6) refuses bpf to whoever lacks SYS_ADMIN.
seccompProfile:
  type: Unconfined
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}
# The runtimes' default profile lets a container look only at its own processes.
appArmorProfile:
  type: Unconfined
{{- end }}
{{- else }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
